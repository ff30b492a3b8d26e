package store

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"jetstream/internal/transfer"
)

// A page of entries becomes the same list, or fails in the same way, as its
// entries one after the other, whichever of them have the names of others.
func TestAPageOfEntriesIsAddedAsIfOneByOne(t *testing.T) {
	db := openTest(t)
	s := db.Transfers()
	random := rand.New(rand.NewPCG(1, 2))
	mergedPages, conflicts := 0, 0
	for round := range 60 {
		whole, single := fmt.Sprint("w", round), fmt.Sprint("s", round)
		inTx(t, db, func(tx transfer.Tx) error {
			return errors.Join(tx.SaveManifest(&transfer.Manifest{ManifestID: whole}), tx.SaveManifest(&transfer.Manifest{ManifestID: single}))
		})
		next, names := int64(0), 40+random.IntN(4000)
		for range 3 {
			page := make([]transfer.ManifestFile, random.IntN(130))
			for i := range page {
				// Several directories may have one name.
				n := random.IntN(names)
				dir := n < 60
				if !dir {
					n = random.IntN(1 << 40)
				}
				page[i] = transfer.ManifestFile{
					Index: next + int64(i), Source: fmt.Sprintf("/from%d/%d", random.IntN(3), n), Name: fmt.Sprintf("/%d", n),
					Size: int64(random.IntN(9)), Mode: random.Uint32N(0o1000), ModTime: random.Int64N(100), Dir: dir,
				}
			}
			if random.IntN(4) == 0 && len(page) > 0 { // a file has the name of another entry
				page[random.IntN(len(page))].Name = page[0].Name
			}
			wantMerged := int64(0)
			want := s.Update(t.Context(), func(tx transfer.Tx) error {
				for _, f := range page {
					f.Index -= wantMerged
					merged, err := tx.AddManifestFiles(single, []transfer.ManifestFile{f})
					if err != nil {
						return err
					}
					wantMerged += merged
				}
				return nil
			})
			merged := int64(0)
			got := s.Update(t.Context(), func(tx transfer.Tx) (err error) {
				merged, err = tx.AddManifestFiles(whole, page)
				return err
			})
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Fatalf("round %d: %v, one by one %v", round, got, want)
			}
			if want != nil {
				conflicts++
				continue
			}
			if merged != wantMerged {
				t.Fatalf("round %d: %d merged, one by one %d", round, merged, wantMerged)
			}
			if merged > 0 {
				mergedPages++
			}
			next += int64(len(page)) - merged
		}
		list, err := s.ManifestFiles(t.Context(), whole, 0, 1000)
		if err != nil {
			t.Fatal(err)
		}
		want, err := s.ManifestFiles(t.Context(), single, 0, 1000)
		if diff := cmp.Diff(want, list); err != nil || diff != "" {
			t.Fatalf("round %d (%v): %s", round, err, diff)
		}
		if int64(len(list)) != next {
			t.Fatalf("round %d: %d entries, want %d", round, len(list), next)
		}
	}
	if mergedPages < 10 || conflicts < 10 {
		t.Errorf("only %d pages were merged and %d refused", mergedPages, conflicts)
	}
}
