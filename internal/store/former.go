package store

// former follows the name of a user who was removed, in what was theirs, once
// another has got the name. With it, it is nobody's name.
const former = " (removed)"

// disown takes from a new user what bears the name, in whatever letters: it was
// a removed user's. That goes with the making of the account, not with the
// removal: what a call that was under way then has made later counts as well,
// and until then everything tells whose it was. A destination that the former
// users of a name had in common becomes one.
func (t *tx) disown(name string) error {
	for _, query := range []string{
		"UPDATE OR REPLACE destinations SET owner = owner || ? WHERE owner = ? COLLATE NOCASE",
		"UPDATE manifests SET owner = owner || ? WHERE owner = ? COLLATE NOCASE",
		"UPDATE transfers SET owner = owner || ? WHERE owner = ? COLLATE NOCASE",
		"UPDATE recv_transfers SET username = username || ? WHERE username = ? COLLATE NOCASE",
		"UPDATE runs SET user = user || ? WHERE user = ? COLLATE NOCASE",
	} {
		if _, err := t.exec(query, former, name); err != nil {
			return err
		}
	}
	_, err := t.exec("DELETE FROM replays WHERE owner = ?", name)
	return err
}
