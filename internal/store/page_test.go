package store

import (
	"strings"
	"testing"

	"jetstream/internal/transfer"
)

// queryPlan is how SQLite carries out a query.
func queryPlan(t *testing.T, db *DB, query string, args ...any) string {
	t.Helper()
	rows, err := db.readers.query(t.Context(), "EXPLAIN QUERY PLAN "+query, args...)
	if err != nil {
		t.Fatal(err)
	}
	steps, err := scanAll(rows, func(row scanner) (text string, err error) {
		var unused int
		return text, row.Scan(&unused, &unused, &unused, &text)
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(steps, "; ")
}

// A page of a long list takes as long as one of a short list: nothing is
// passed by that does not belong to it, and nothing is sorted.
func TestListsGoByAnIndex(t *testing.T) {
	db := openTest(t)
	for _, list := range []struct {
		query, owner string
		status       bool // whether the list has one
		where        []string
	}{
		{selectTransfer, "owner", true, []string{"deleted = 0"}},
		{selectManifest, "owner", true, nil},
		{selectDestination, "owner", false, nil},
		{"SELECT " + recvColumns + " FROM recv_transfers", "username", true, nil},
		{selectToken, "t.owner", false, nil},
	} {
		for _, owner := range []string{"", "alice"} {
			for _, status := range []transfer.Status{"", transfer.StatusError} {
				for _, before := range []int64{0, 1000} {
					if status != "" && !list.status {
						continue
					}
					query, args := onePage(list.query, list.owner, "", transfer.Page{Owner: owner, Status: status, Before: before, Limit: 101}, list.where...)
					plan := queryPlan(t, db, query, args...)
					all := owner == "" && status == "" && before == 0 // its page is the newest rows
					bounds := strings.Count(plan, "=?") + strings.Count(plan, "<?")
					wanted := strings.Count(query, " = ?") + strings.Count(query, " < ?")
					if strings.Contains(query, "count(*)") {
						wanted++ // for the count that each row has
					}
					if strings.Contains(plan, "TEMP B-TREE") || !all && strings.Contains(plan, "SCAN") || bounds < wanted {
						t.Errorf("%s\nowner %q, status %q, before %d: %s", query, owner, status, before, plan)
					}
				}
			}
		}
	}
}

// An id is found by a part of it without reading the rows of the others.
func TestIDsAreFoundInTheirIndex(t *testing.T) {
	db := openTest(t)
	for _, list := range []struct{ query, owner, id string }{
		{selectShown, "owner", "transfers.transfer_id"},
		{selectManifest, "owner", "manifests.manifest_id"},
		{selectDestination, "owner", "destinations.destination_id"},
		{"SELECT " + recvColumns + " FROM recv_transfers", "username", "recv_transfers.transfer_id"},
		{selectRun, "user", "runs.run_id"},
	} {
		for _, owner := range []string{"", "alice"} {
			query, args := onePage(list.query, list.owner, list.id, transfer.Page{Owner: owner, IDPart: "abcd", Limit: 6})
			if plan := queryPlan(t, db, query, args...); !strings.Contains(plan, "USING COVERING INDEX") || strings.Count(plan, "SCAN") != 1 {
				t.Errorf("%s\n%s", query, plan)
			}
		}
	}
}
