package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"jetstream/internal/api"
	"jetstream/internal/transfer"
)

const manifestColumns = `seq, manifest_id, status, total_files, total_size, error_message, create_time, end_time,
	owner, user_data, data_size, skipped_entries, read_errors, confined, file_mappings, include, exclude, on_error`

const selectManifest = "SELECT " + manifestColumns + " FROM manifests"

const insertManifest = "INSERT INTO manifests (" + manifestColumns + ") VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"

const updateManifest = `UPDATE manifests SET status = ?, total_files = ?, total_size = ?, error_message = ?,
	create_time = ?, end_time = ?, owner = ?, user_data = ?, data_size = ?, skipped_entries = ?, read_errors = ? WHERE seq = ?`

// SaveManifest implements transfer.Tx. The file mappings and the filter are
// written once.
func (t *tx) SaveManifest(m *transfer.Manifest) error {
	data, err := json.Marshal(m.UserData)
	if err != nil {
		return err
	}
	fields := []any{
		string(m.Status), m.TotalFiles, m.TotalSize, m.ErrorMessage, int64(m.CreateTime), int64(m.EndTime),
		m.Owner, string(data), m.DataSize, m.SkippedEntries, m.ReadErrors,
	}
	if m.Seq != 0 {
		_, err = t.exec(updateManifest, append(fields, m.Seq)...)
		return err
	}
	mappings, err := encodeMappings(m)
	include, includeErr := json.Marshal(m.Include)
	exclude, excludeErr := json.Marshal(m.Exclude)
	if err := errors.Join(err, includeErr, excludeErr); err != nil {
		return err
	}
	all := append([]any{m.ManifestID}, fields...)
	if m.Seq, err = t.insert(insertManifest, append(all, m.Confined, string(mappings), string(include), string(exclude), m.OnError)...); err != nil {
		return err
	}
	_, err = t.exec("INSERT INTO file_sets (manifest_seq) VALUES (?)", m.Seq)
	return err
}

// scanManifest reads manifestColumns; without a row it fails with code notFound.
func scanManifest(row scanner, manifestID string) (transfer.Manifest, error) {
	m, _, err := scanWeighedManifest(row, manifestID)
	return m, err
}

// scanWeighedManifest also tells how many bytes its file mappings have.
func scanWeighedManifest(row scanner, manifestID string) (transfer.Manifest, int, error) {
	var m transfer.Manifest
	var data, mappings, include, exclude []byte
	err := row.Scan(&m.Seq, &m.ManifestID, (*string)(&m.Status), &m.TotalFiles, &m.TotalSize, &m.ErrorMessage, (*int64)(&m.CreateTime),
		(*int64)(&m.EndTime), &m.Owner, &data, &m.DataSize, &m.SkippedEntries, &m.ReadErrors,
		&m.Confined, &mappings, &include, &exclude, &m.OnError)
	if err != nil {
		return m, 0, noRow(err, "manifest", manifestID)
	}
	m.Processing = m.Status.Processing()
	err = errors.Join(json.Unmarshal(data, &m.UserData), decodeMappings(mappings, &m),
		json.Unmarshal(include, &m.Include), json.Unmarshal(exclude, &m.Exclude))
	return m, len(mappings), err
}

// encodeMappings writes file mappings as a JSON object, or as a list of pairs in
// base64 if JSON cannot hold them.
func encodeMappings(m *transfer.Manifest) ([]byte, error) {
	if m.FileMappingsBase64 == nil {
		return json.Marshal(m.FileMappings)
	}
	pairs := make([][2][]byte, 0, len(m.FileMappings))
	for source, name := range m.FileMappings {
		pairs = append(pairs, [2][]byte{[]byte(source), []byte(name)})
	}
	return json.Marshal(pairs)
}

// decodeMappings reads what encodeMappings has written.
func decodeMappings(text []byte, m *transfer.Manifest) error {
	if len(text) == 0 || text[0] != '[' {
		return json.Unmarshal(text, &m.FileMappings)
	}
	var pairs [][2][]byte
	if err := json.Unmarshal(text, &pairs); err != nil {
		return err
	}
	m.FileMappings = make(map[string]string, len(pairs))
	for _, pair := range pairs {
		m.FileMappings[string(pair[0])] = string(pair[1])
	}
	m.FileMappingsBase64 = api.Base64UnlessMap(m.FileMappings)
	return nil
}

// Manifest implements transfer.Tx.
func (t *tx) Manifest(manifestID string) (*transfer.Manifest, error) {
	m, err := scanManifest(t.queryRow(selectManifest+" WHERE manifest_id = ?", manifestID), manifestID)
	return &m, err
}

// fileSet finds the file list of a manifest, notFound when that is gone.
const fileSet = "SELECT set_id FROM file_sets WHERE manifest_seq = (SELECT seq FROM manifests WHERE manifest_id = ?)"

func (t *tx) fileSet(manifestID string) (set int64, err error) {
	err = t.queryRow(fileSet, manifestID).Scan(&set)
	return set, noRow(err, "manifest", manifestID)
}

const (
	addManifestFile = `INSERT INTO manifest_files (set_id, idx, source, name, size, mode, mod_time, dir)
		VALUES ROWS ON CONFLICT (set_id, name) DO NOTHING`
	addManifestFileColumns = 8
)

// AddManifestFiles implements transfer.Tx.
func (t *tx) AddManifestFiles(manifestID string, files []transfer.ManifestFile) (merged int64, err error) {
	set, err := t.fileSet(manifestID)
	if err != nil {
		return 0, err
	}
	var args []any
	for len(files) > 0 {
		n, query := nextInsert(&t.batch.w.manifestFileInserts, files, &args, func(row []any, f transfer.ManifestFile) []any {
			return append(row, set, f.Index-merged, f.Source, f.Name, f.Size, int64(f.Mode), f.ModTime, f.Dir)
		})
		inserted, err := t.execCount(query, args...)
		if err == nil && inserted < int64(n) {
			merged, err = t.mergeManifestFiles(set, files[:n], merged)
		}
		if err != nil {
			return 0, err
		}
		files = files[n:]
	}
	return merged, nil
}

// mergeManifestFiles adds entries some of which have the name of another one,
// those already inserted again. It returns merged and the number of them that
// became part of another entry.
func (t *tx) mergeManifestFiles(set int64, files []transfer.ManifestFile, merged int64) (int64, error) {
	_, err := t.exec("DELETE FROM manifest_files WHERE set_id = ? AND idx BETWEEN ? AND ?",
		set, files[0].Index-merged, files[len(files)-1].Index-merged)
	if err != nil {
		return 0, err
	}
	for _, f := range files {
		inserted, err := t.execCount(t.batch.w.manifestFileInserts[0], set, f.Index-merged, f.Source, f.Name, f.Size, int64(f.Mode), f.ModTime, f.Dir)
		if err == nil && inserted == 0 {
			merged++
			err = t.mergeDirs(set, f)
		}
		if err != nil {
			return 0, err
		}
	}
	return merged, nil
}

// mergeDirs merges a directory into the entry of the same name; conflict if one
// of them is a file.
func (t *tx) mergeDirs(set int64, f transfer.ManifestFile) error {
	other := transfer.ManifestFile{Name: f.Name}
	err := t.queryRow("SELECT idx, source, dir FROM manifest_files WHERE set_id = ? AND name = ?", set, f.Name).
		Scan(&other.Index, &other.Source, &other.Dir)
	switch {
	case err != nil:
		return fmt.Errorf("two entries are called %q: %w", f.Name, err)
	case f.Dir && other.Dir:
		_, err := t.exec("UPDATE manifest_files SET mode = mode & ?, mod_time = max(mod_time, ?) WHERE set_id = ? AND idx = ?",
			f.Mode, f.ModTime, set, other.Index)
		return err
	case f.Dir:
		return transfer.FileAndDir(other, f)
	case other.Dir:
		return transfer.FileAndDir(f, other)
	case f.Source == other.Source:
		return &transfer.SentTwiceError{Source: f.Source, Name: f.Name}
	}
	return api.Errorf(api.CodeConflict, "sources %s and %s would both be called %s: give them different names", other.Source, f.Source, f.Name)
}

// AddSkippedFiles implements transfer.Tx.
func (t *tx) AddSkippedFiles(manifestID string, skipped []transfer.SkippedFile) error {
	if len(skipped) == 0 {
		return nil
	}
	set, err := t.fileSet(manifestID)
	if err != nil {
		return err
	}
	for _, f := range skipped {
		if _, err := t.exec("INSERT INTO skipped_entries (set_id, idx, source, reason) VALUES (?, ?, ?, ?)", set, f.Index, f.Source, f.Reason); err != nil {
			return err
		}
	}
	return nil
}

// ResetManifestFiles implements transfer.Tx.
func (t *tx) ResetManifestFiles(manifestID string) error {
	set, err := t.fileSet(manifestID)
	if err != nil {
		return err
	}
	var used bool
	err = t.queryRow("SELECT EXISTS (SELECT 1 FROM manifest_files WHERE set_id = ?1) OR EXISTS (SELECT 1 FROM skipped_entries WHERE set_id = ?1)", set).Scan(&used)
	if err != nil || !used {
		return err
	}
	_, err = t.exec("UPDATE file_sets SET manifest_seq = NULL WHERE set_id = ?", set)
	if err != nil {
		return err
	}
	_, err = t.exec("INSERT INTO file_sets (manifest_seq) SELECT seq FROM manifests WHERE manifest_id = ?", manifestID)
	return err
}

// DeleteManifest implements transfer.Tx; the entries are left to
// PurgeManifestFiles.
func (t *tx) DeleteManifest(manifestID string) error {
	set, err := t.fileSet(manifestID)
	if err != nil {
		return err
	}
	if _, err := t.exec("UPDATE file_sets SET manifest_seq = NULL WHERE set_id = ?", set); err != nil {
		return err
	}
	_, err = t.exec("DELETE FROM manifests WHERE manifest_id = ?", manifestID)
	return err
}

// PurgeManifestFiles implements transfer.Tx.
func (t *tx) PurgeManifestFiles(limit int) (more bool, err error) {
	var set int64
	err = t.queryRow("SELECT set_id FROM file_sets WHERE manifest_seq IS NULL LIMIT 1").Scan(&set)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	for _, table := range []string{"manifest_files", "skipped_entries"} {
		n, err := t.execCount("DELETE FROM "+table+" WHERE set_id = ?1 AND idx IN (SELECT idx FROM "+table+
			" WHERE set_id = ?1 ORDER BY idx LIMIT ?2)", set, limit)
		if err != nil {
			return false, err
		}
		if n == int64(limit) {
			return true, nil
		}
	}
	_, err = t.exec("DELETE FROM file_sets WHERE set_id = ?", set)
	return true, err
}

// Manifest implements transfer.Store.
func (s *Transfers) Manifest(ctx context.Context, manifestID string) (transfer.Manifest, error) {
	return scanManifest(s.db.readers.queryRow(ctx, selectManifest+" WHERE manifest_id = ?", manifestID), manifestID)
}

// Manifests implements transfer.Store.
func (s *Transfers) Manifests(ctx context.Context, p transfer.Page) (list []transfer.Manifest, err error) {
	query, args := onePage(selectManifest, "owner", "manifests.manifest_id", p)
	rows, err := s.db.readers.query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for total := 0; total < transfer.MaxPageBytes && rows.Next(); {
		m, weight, err := scanWeighedManifest(rows, "")
		if err != nil {
			return nil, err
		}
		list, total = append(list, m), total+weight
	}
	return list, rows.Err()
}

// PendingManifests implements transfer.Store.
func (s *Transfers) PendingManifests(ctx context.Context, except []string, limit int) ([]transfer.Manifest, error) {
	left, err := idList(except)
	if err != nil {
		return nil, err
	}
	rows, err := s.db.readers.query(ctx, selectManifest+` WHERE status = 'pending'
		AND manifest_id NOT IN (SELECT value FROM json_each(?)) ORDER BY seq LIMIT ?`, left, limit)
	if err != nil {
		return nil, err
	}
	return scanAll(rows, func(row scanner) (transfer.Manifest, error) { return scanManifest(row, "") })
}

// The mode and whether it is a directory are read as one column: each column
// costs the same, whatever it holds.
const selectManifestFiles = `SELECT idx, source, name, size, mode | (dir << 32), mod_time FROM manifest_files
	WHERE set_id = ? AND idx >= ? ORDER BY idx LIMIT ?`

// ManifestFiles implements transfer.Store.
func (s *Transfers) ManifestFiles(ctx context.Context, manifestID string, from int64, limit int) ([]transfer.ManifestFile, error) {
	var set int64
	if err := s.db.readers.queryRow(ctx, fileSet, manifestID).Scan(&set); err != nil {
		return nil, noRow(err, "manifest", manifestID)
	}
	rows, err := s.db.readers.query(ctx, selectManifestFiles, set, from, limit)
	if err != nil {
		return nil, err
	}
	var f transfer.ManifestFile
	var bits int64
	into := []any{&f.Index, &f.Source, &f.Name, &f.Size, &bits, &f.ModTime}
	return scanAll(rows, func(row scanner) (transfer.ManifestFile, error) {
		err := row.Scan(into...)
		f.Mode, f.Dir = uint32(bits), bits&(1<<32) != 0
		return f, err
	})
}

// SkippedFiles implements transfer.Store.
func (s *Transfers) SkippedFiles(ctx context.Context, manifestID string, from int64, limit int) ([]transfer.SkippedFile, error) {
	rows, err := s.db.readers.query(ctx, "SELECT idx, source, reason FROM skipped_entries WHERE set_id = ("+fileSet+
		") AND idx >= ? ORDER BY idx LIMIT ?", manifestID, from, limit)
	if err != nil {
		return nil, err
	}
	return scanAll(rows, func(row scanner) (f transfer.SkippedFile, err error) {
		return f, row.Scan(&f.Index, &f.Source, &f.Reason)
	})
}

// NameClash implements transfer.Store. For each file it looks once into the
// index of names, where everything below NAME lies between NAME/ and NAME0.
func (s *Transfers) NameClash(ctx context.Context, manifestID string) (file, below transfer.ManifestFile, ok bool, err error) {
	err = s.db.readers.queryRow(ctx, `SELECT f.source, f.name, g.source, g.name
		FROM manifest_files f CROSS JOIN manifest_files g
		ON g.set_id = f.set_id AND g.name > f.name || '/' AND g.name < f.name || '0'
		WHERE f.set_id = (`+fileSet+`) AND f.dir = 0 LIMIT 1`, manifestID).
		Scan(&file.Source, &file.Name, &below.Source, &below.Name)
	if errors.Is(err, sql.ErrNoRows) {
		return file, below, false, nil
	}
	return file, below, err == nil, err
}
