package tokencache

import (
	"context"
	"testing"
)

// warm is a cache that holds the pinned key's value and another.
func warm(t testing.TB) *Cache[string, string] {
	c := cacheOf(t, 10, newUpstream(nil))
	mustGet(t, c, pinned)
	mustGet(t, c, "other")
	return c
}

// A warm read allocates nothing. It must not run beside other tests.
func TestWarmReadsAllocateNothing(t *testing.T) {
	c := warm(t)
	ctx := context.Background()
	for name, read := range map[string]func(){
		"item":        func() { _, _, _ = c.Pinned().Get(ctx) },
		"last":        func() { _ = c.Pinned().Last() },
		"pinned key":  func() { _, _, _ = c.Get(ctx, pinned) },
		"another key": func() { _, _, _ = c.Get(ctx, "other") },
	} {
		if n := testing.AllocsPerRun(1000, read); n != 0 {
			t.Errorf("%s: got %v allocations, want 0", name, n)
		}
	}
}

func BenchmarkPinned(b *testing.B) {
	item, ctx := warm(b).Pinned(), context.Background()
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := item.Get(ctx); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOther(b *testing.B) {
	c, ctx := warm(b), context.Background()
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := c.Get(ctx, "other"); err != nil {
			b.Fatal(err)
		}
	}
}

// Reads from two cores at once.
func BenchmarkParallel(b *testing.B) {
	for _, key := range []string{pinned, "other"} {
		b.Run(key, func(b *testing.B) {
			c, ctx := warm(b), context.Background()
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, _, err := c.Get(ctx, key); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}
