package azure

import "testing"

func TestIsTenant(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"00000000-0000-4000-8000-00000000aaaa": true, "00000000-0000-4000-8000-00000000AAAA": true,
		"contoso.no": true, "CONTOSO.onmicrosoft.com": true, "a-b.c1.xn--p1ai": true,
		"": false, "common": false, "my tenant": false, "contoso.": false, "-a.no": false, "a..no": false, "1.2.3.4": false,
		"00000000-0000-4000-8000-00000000aaa": false, "https://contoso.no": false, "contoso.no\n": false,
	} {
		if got := IsTenant(text); got != want {
			t.Errorf("%q: got %v, want %v", text, got, want)
		}
	}
}
