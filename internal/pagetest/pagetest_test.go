package pagetest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const page = "# Page\n\n| you see | why | do |\n|---|---|---|\n" +
	"| `MP-100`, `Client not found` | `ClientId` is wrong | correct it |\n" +
	"| no phrase | - | - |\n" +
	"| `line … of file` | it is cut | set it again |\n\nEnd of `page`.\n"

func TestRows(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "page.md")
	if err := os.WriteFile(file, []byte(page), 0o600); err != nil {
		t.Fatal(err)
	}
	want := []Row{
		{[]string{"MP-100", "Client not found"}, "`ClientId` is wrong | correct it"},
		{[]string{"line … of file"}, "it is cut | set it again"},
	}
	rows := Rows(t, file)
	if diff := cmp.Diff(want, rows); diff != "" {
		t.Error(diff)
	}
	for text, want := range map[string]int{
		"401 client NOT found": 1, "line 7 of file x": 1, "of file, line 7": 0, "mp-100: line 1 of file": 2, "ClientId": 0, "": 0,
	} {
		if got := len(Of(rows, text)); got != want {
			t.Errorf("%q: got %d rows, want %d", text, got, want)
		}
	}
}
