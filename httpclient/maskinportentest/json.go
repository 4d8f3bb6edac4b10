package maskinportentest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"unicode/utf8"
)

var (
	errNotObject = errors.New("not one JSON object")
	errRepeated  = errors.New("a member is repeated")
)

// decodeObject decodes one JSON object and nothing after it. It refuses two members
// of one name at any depth, as RFC 7515 section 4 allows; encoding/json takes the
// last one. Numbers stay json.Number.
func decodeObject(raw []byte) (map[string]any, error) {
	if !utf8.Valid(raw) {
		return nil, errNotObject
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	v, err := decodeValue(dec, 0)
	if err != nil {
		return nil, err
	}
	object, ok := v.(map[string]any)
	if _, err := dec.Token(); !ok || !errors.Is(err, io.EOF) {
		return nil, errNotObject
	}
	return object, nil
}

func decodeValue(dec *json.Decoder, depth int) (any, error) {
	tok, err := dec.Token()
	if err != nil || depth > maxDepth {
		return nil, errNotObject
	}
	switch tok {
	case json.Delim('{'):
		object := map[string]any{}
		for dec.More() {
			// The decoder accepts only strings as member names.
			tok, err := dec.Token()
			name, ok := tok.(string)
			if err != nil || !ok {
				return nil, errNotObject
			}
			if _, repeated := object[name]; repeated {
				return nil, errRepeated
			}
			if object[name], err = decodeValue(dec, depth+1); err != nil {
				return nil, err
			}
		}
		return object, closed(dec)
	case json.Delim('['):
		array := []any{}
		for dec.More() {
			v, err := decodeValue(dec, depth+1)
			if err != nil {
				return nil, err
			}
			array = append(array, v)
		}
		return array, closed(dec)
	default:
		return tok, nil
	}
}

// closed reads the closing bracket. The decoder accepts nothing else there.
func closed(dec *json.Decoder) error {
	if _, err := dec.Token(); err != nil {
		return errNotObject
	}
	return nil
}

// numericDate reads a NumericDate. This server wants a plain integer, in a range
// that leaves room for arithmetic.
func numericDate(v any) (int64, bool) {
	n, ok := v.(json.Number)
	if !ok {
		return 0, false
	}
	sec, err := strconv.ParseInt(n.String(), 10, 64)
	return sec, err == nil && sec >= 0 && sec < 1<<40
}
