//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zeebo/xxh3"
)

var (
	soakTransfers = flag.Int("soak", 6, "how many transfers TestSoak makes")
	soakSeed      = flag.Uint64("soak.seed", 0, "what it draws from; 0: the clock")
)

// soakAtOnce is how many transfers of a soak are under way at a time.
const soakAtOnce = 6

// soak is a campaign over a bad link, whose transfers are steered meanwhile.
type soak struct {
	*campaign
	seed        uint64
	link        *badLink
	destination string

	mu   sync.Mutex
	open map[string]int   // number of each transfer that has not ended, by id
	sent map[string]*sent // by id

	removals []removal    // of each transfer, by number
	stalls   atomic.Int64 // how often the link was stalled or went on
	checking sync.Mutex   // held by checkThere
}

// sent is a transfer of a soak.
type sent struct {
	number, files int
	bytes         int64
	conflict      string
	skips         bool     // some of its files were there before, and stay
	before        []string // the files of the tree that were there before
	want          map[string]string
	removal
}

// TestSoak sends trees while sender and receiver are killed, the link between them
// is cut, stalled and closed, and the transfers are suspended and get other rates
// and priorities. In the end each has arrived as it was, with one event at
// either end, and no part file is left; what mirrors and deleteSource remove is
// gone, and nothing else, nor was it ever.
func TestSoak(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: starts servers many times")
	}
	seed := seedOf(t, "soak.seed", *soakSeed)
	s := &soak{campaign: serverlessCampaign(t, seed), seed: seed, open: map[string]int{}, sent: map[string]*sent{}}
	s.plantRemovals(*soakTransfers)
	s.startServers("--digest=" + []string{"xxh3-128", "blake3", "sha256"}[seed%3])
	s.link = newBadLink(t, "127.0.0.1:"+strings.TrimPrefix(s.flags[s.to][1], "--recv-port="))
	reply, _ := s.ask(true, "POST", "/send/destinations", "the-destination",
		map[string]any{"destinationAddress": s.link.listener.Addr().String(), "sendRateMax": 50_000})
	s.destination = field(reply, "destinationId")

	var disturbing, sending sync.WaitGroup
	ends := 0
	disturbing.Go(func() {
		for i := 0; s.pause(s.random, 5000); i++ {
			s.kill(i)
			ends++
		}
	})
	disturbing.Go(s.steer)
	disturbing.Go(s.spoilLink)
	disturbing.Go(s.guard)
	numbers := make(chan int)
	for range soakAtOnce {
		sending.Go(func() {
			for n := range numbers {
				s.send(n)
			}
		})
	}
	for n := range *soakTransfers {
		numbers <- n
	}
	close(numbers)
	sending.Wait()
	close(s.stop)
	disturbing.Wait()
	s.awaitEnd()
	s.check()
	s.checkScripts()
	t.Logf("%d transfers, the servers ended %d times", len(s.sent), ends)
}

// pause waits for up to most milliseconds and reports whether the soak goes on.
func (s *soak) pause(random *rand.Rand, most int) bool {
	select {
	case <-time.After(time.Duration(random.IntN(most)) * time.Millisecond):
		return true
	case <-s.stop:
		return false
	}
}

// errorf reports a failure of transfer n.
func (s *soak) errorf(n int, id, format string, args ...any) {
	s.from.t.Helper()
	s.from.t.Errorf("-soak.seed=%d, transfer %d (%s): %s", s.seed, n, id, fmt.Sprintf(format, args...))
}

// steer suspends transfers and goes on with them, and changes rate and
// priorities, until the soak's end.
func (s *soak) steer() {
	random := rand.New(rand.NewPCG(s.seed, 1))
	for s.pause(random, 1000) {
		s.mu.Lock()
		ids := slices.Sorted(maps.Keys(s.open))
		s.mu.Unlock()
		if len(ids) == 0 {
			continue
		}
		path := "/send/transfers/" + ids[random.IntN(len(ids))]
		switch random.IntN(4) {
		case 0:
			rates := []int{20_000, 50_000, 100_000, 200_000, 400_000, 0}
			s.try("PATCH", "/send/destinations/"+s.destination, map[string]any{"sendRateMax": rates[random.IntN(len(rates))]})
		case 1:
			s.try("PATCH", path, map[string]any{"priority": random.IntN(200)})
		default:
			s.try("POST", path+"/suspend", nil)
			s.pause(random, 500)
			for s.try("POST", path+"/resume", nil) == 0 && s.from.t.Context().Err() == nil {
				s.pause(random, 100)
			}
		}
	}
}

// try makes a call once and returns its status; 0 if it was not carried out for sure.
func (s *soak) try(method, path string, body map[string]any) int {
	t := s.from.t
	text, err := json.Marshal(body)
	if err != nil {
		t.Error(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, s.from.baseAddress(s.flags[s.from])+"/api/v1"+path, bytes.NewReader(text))
	if err != nil {
		t.Error(err)
		return http.StatusBadRequest
	}
	if body == nil {
		req.Body, req.ContentLength = http.NoBody, 0
	}
	req.SetBasicAuth("alice", testPassword)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0
	}
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(res.Body)
	switch {
	case err != nil || res.StatusCode == http.StatusServiceUnavailable:
		return 0
	case res.StatusCode != http.StatusOK && res.StatusCode != http.StatusConflict: // a transfer that has ended
		t.Errorf("-soak.seed=%d: %s %s answered %d %s", s.seed, method, path, res.StatusCode, answer)
	}
	return res.StatusCode
}

// spoilLink cuts, stalls and closes the link, until the soak's end.
func (s *soak) spoilLink() {
	random := rand.New(rand.NewPCG(s.seed, 2))
	for s.pause(random, 10_000) {
		switch random.IntN(6) {
		case 0: // until lanes, or the whole connection, are given up
			s.stalls.Add(1)
			over := s.link.stall()
			s.pause(random, 14_000)
			over()
			s.stalls.Add(1)
		case 1:
			s.link.refuse(true)
			s.link.cut()
			s.pause(random, 3000)
			s.link.refuse(false)
		default:
			s.link.cut()
		}
	}
}

// send makes transfer n and waits until it has ended.
func (s *soak) send(n int) {
	random := rand.New(rand.NewPCG(s.seed, uint64(1000+n)))
	x := &sent{number: n, conflict: []string{"overwrite", "changed", "update", "skip", "rename", "fail"}[random.IntN(6)]}
	x.removal = s.removals[n]
	if x.mirror && x.conflict == "rename" { // which is refused
		x.conflict = "overwrite"
	}
	s.plant(x, random)
	ends, stalls := s.senderEnds.Load(), s.stalls.Load()
	reply, _ := s.ask(true, "POST", "/send/manifests", fmt.Sprintf("m-%d", n),
		map[string]any{"fileMappings": map[string]string{fmt.Sprintf("/src/%d", n): "/tree"}})
	manifest := field(reply, "manifestId")
	for processing := true; processing && manifest != ""; {
		reply, answered := s.ask(true, "GET", "/send/manifests/"+manifest+"/wait", fmt.Sprintf("w-%d", n), nil)
		var m struct{ Processing bool }
		processing = answered && json.Unmarshal(reply.Result, &m) == nil && m.Processing
	}
	reply, _ = s.ask(true, "POST", "/send/transfers", fmt.Sprintf("t-%d", n), map[string]any{
		"manifestId": manifest, "destinationId": s.destination, "username": "bob", "password": testPassword,
		"destinationPath": fmt.Sprintf("/in/%d", n), "conflict": x.conflict, "priority": random.IntN(200),
		"onError": []string{"stop", "continue"}[random.IntN(2)], "checkpointFrequencySeconds": random.IntN(3),
		"mirror": x.mirror, "deleteSource": x.deleteSource,
	})
	id := field(reply, "transferId")
	if id == "" {
		s.errorf(n, "", "it could not be made")
		return
	}
	s.mu.Lock()
	s.transfers[id], s.sent[id], s.open[id] = fmt.Sprintf("/in/%d", n), x, n
	s.mu.Unlock()
	deadline := time.Now().Add(10 * time.Minute)
	for {
		reply, answered := s.ask(true, "GET", "/send/transfers/"+id+"/wait", fmt.Sprintf("e-%d", n), nil)
		var got struct {
			Processing, DeletingSources bool
			Status, ErrorMessage        string
		}
		if !answered || json.Unmarshal(reply.Result, &got) != nil {
			return
		}
		got.Processing = got.Processing || got.DeletingSources
		if got.Processing && time.Now().After(deadline) {
			s.errorf(n, id, "it is still %s after ten minutes: %s", got.Status, got.ErrorMessage)
			return
		}
		if !got.Processing {
			if got.Status != "complete" {
				s.errorf(n, id, "it ended as %s: %s", got.Status, got.ErrorMessage)
			}
			break
		}
	}
	s.mu.Lock()
	delete(s.open, id)
	s.mu.Unlock()
	x.undisturbed = s.senderEnds.Load() == ends
	x.late = stalls%2 == 1 || s.stalls.Load() != stalls
}

// plant makes the tree of a transfer, and at the receiver some of its files as they
// may have been before.
func (s *soak) plant(x *sent, random *rand.Rand) {
	t := s.from.t
	root := filepath.Join(s.from.files, "src", fmt.Sprint(x.number))
	target := filepath.Join(s.to.files, "in", fmt.Sprint(x.number), "tree")
	check := func(err error) {
		if err != nil {
			s.errorf(x.number, "", "%v", err)
		}
	}
	stamp := func(path string) {
		at := time.Unix(1_500_000_000+random.Int64N(100_000_000), random.Int64N(1_000_000_000))
		check(os.Chtimes(path, at, at))
	}
	check(os.MkdirAll(root, 0o750))
	dirs := []string{"", "a b/c", "empty/dir", "-n", "line\nbreak", "\xff\xfe", strings.Repeat("d/", 40) + "end"}
	for _, dir := range dirs {
		check(os.MkdirAll(filepath.Join(root, dir), 0o750))
	}
	names := []string{"é", "quote'\"", "* ?", strings.Repeat("n", 255), "\xfd.txt", ".hidden", "%2f"}
	for i := range 10 + random.IntN(60) {
		dir, name := dirs[random.IntN(len(dirs))], fmt.Sprintf("%d", i)
		if i < len(names) {
			name = names[i]
		}
		size, mode := random.IntN(20_000), []fs.FileMode{0o600, 0o644, 0o755, 0o444}[random.IntN(4)]
		switch random.IntN(12) {
		case 0:
			size = 0
		case 1:
			size = 1<<20 + random.IntN(4<<20)
		}
		path, text := filepath.Join(root, dir, name), randomText(random, size)
		check(os.WriteFile(path, text, 0o600))
		if size > 1<<20 && random.IntN(2) == 0 { // with a hole, and one at its end
			check(writeBehindHole(path, text[:4096], int64(size)+random.Int64N(8<<20)))
		}
		check(os.Chmod(path, mode))
		stamp(path)
		if dir == "" && size > 0 && size < 1<<20 && random.IntN(3) == 0 {
			check(s.plantBefore(x, path, filepath.Join(target, name), text, mode))
		}
	}
	check(os.Symlink("a b", filepath.Join(root, "link to a directory")))
	if !x.mirror { // which removes nothing where something cannot be sent
		check(os.Symlink("nowhere", filepath.Join(root, "dangling")))
	}
	check(os.WriteFile(filepath.Join(root, "one"), []byte("twice"), 0o600))
	check(os.Link(filepath.Join(root, "one"), filepath.Join(root, "a b", "other")))
	for _, dir := range slices.Backward(dirs) {
		check(os.Chmod(filepath.Join(root, dir), []fs.FileMode{0o700, 0o755, 0o750}[random.IntN(3)]))
		stamp(filepath.Join(root, dir))
	}
	var err error
	x.want, x.files, x.bytes, err = describeTree(root)
	check(err)
	if len(x.want) == 0 {
		t.Error("no tree was made")
	}
	if x.deleteSource {
		x.sources, err = regularFiles(root)
		check(err)
	}
	ageFiles(t)
}

// randomText is some text, half of which is the same again and again.
func randomText(random *rand.Rand, size int) []byte {
	b := make([]byte, size)
	for i := range b {
		if i%64 < 32 {
			b[i] = byte(random.Uint32())
		} else {
			b[i] = 'x'
		}
	}
	return b
}

// writeBehindHole makes a file longer, of which only text at about the middle is
// not a hole.
func writeBehindHole(path string, text []byte, size int64) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Truncate(2 * size); err != nil {
		return err
	}
	_, err = f.WriteAt(text, size)
	return err
}

// plantBefore puts a file at the receiver that conflicts with the one at path: the
// same where it is to be kept, an older one where it is to be replaced.
func (s *soak) plantBefore(x *sent, path, target string, text []byte, mode fs.FileMode) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	at := info.ModTime()
	switch x.conflict {
	case "rename", "fail":
		return nil
	case "overwrite", "update":
		text, at = []byte("older"), at.Add(-time.Hour)
	default:
		x.skips = true
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o750); err != nil {
		return err
	}
	if err := os.WriteFile(target, text, 0o600); err != nil {
		return err
	}
	if err := os.Chmod(target, mode); err != nil {
		return err
	}
	x.before = append(x.before, filepath.Base(target))
	return os.Chtimes(target, at, at)
}

// describeFile returns mode, time, size and hash of a file.
func describeFile(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	text, err := os.ReadFile(path)
	return fmt.Sprintf("%v %v %d bytes, %x", info.Mode(), info.ModTime().UTC(), len(text), xxh3.Hash128(text).Bytes()), err
}

// describeTree returns mode, time, size and hash of what is in a tree, by path, as it is
// to arrive: links are followed. Of the root it says nothing.
func describeTree(root string) (tree map[string]string, files int, total int64, err error) {
	tree = map[string]string{}
	var walk func(rel string) error
	walk = func(rel string) error {
		info, err := os.Stat(filepath.Join(root, rel))
		switch {
		case os.IsNotExist(err): // a link to nothing is not sent
			return nil
		case err != nil:
			return err
		}
		if !info.IsDir() {
			files, total = files+1, total+info.Size()
			tree[rel], err = describeFile(filepath.Join(root, rel))
			return err
		}
		if rel != "." {
			tree[rel] = fmt.Sprintf("%v %v", info.Mode(), info.ModTime().UTC())
		}
		entries, err := os.ReadDir(filepath.Join(root, rel))
		for _, e := range entries {
			if err == nil {
				err = walk(filepath.Join(rel, e.Name()))
			}
		}
		return err
	}
	return tree, files, total, walk(".")
}

// check compares the trees, the totals and the events at both ends.
func (s *soak) check() {
	events := map[*live]map[string]int{s.from: {}, s.to: {}}
	for l, event := range map[*live]string{s.from: "send.transferComplete", s.to: "recv.transferComplete"} {
		for _, runs := range s.runs(l, event) {
			events[l][runs[0]["transferId"].(string)]++
		}
	}
	for id, x := range s.sent {
		params := map[string]any{"transferId": id}
		out, in := s.from.call("send.getTransfer", params), s.to.callAs("bob", "recv.getTransfer", params)
		if out["status"] != "complete" {
			s.errorf(x.number, id, "at the sender it is %v, at the receiver %v", out, in)
			continue
		}
		root := filepath.Join(s.to.files, "in", fmt.Sprint(x.number))
		got, _, _, err := describeTree(filepath.Join(root, "tree"))
		if err != nil {
			s.errorf(x.number, id, "%v", err)
		}
		for path, want := range x.want {
			if got[path] != want && !(slices.Contains(x.dirs, path) && strings.HasPrefix(got[path], "d")) {
				s.errorf(x.number, id, "%q is %q, want %q (%s)", path, got[path], want, x.conflict)
			}
		}
		for path := range got {
			if _, stale := x.stale[path]; x.want[path] == "" && !stale {
				s.errorf(x.number, id, "there is %q, which was not sent (%s)", path, x.conflict)
			}
		}
		s.checkRemoved(id, x, out, in)
		want := 1
		if x.mirror {
			want = 4
		}
		if beside, err := os.ReadDir(root); err != nil || len(beside) != want {
			s.errorf(x.number, id, "beside its tree there is %v (%v)", beside, err)
		}
		files, total := float64(x.files), float64(x.bytes)
		if out["totalFiles"] != files || out["totalBytes"] != total ||
			in["status"] != "complete" || in["totalFiles"] != files || in["totalSize"] != total ||
			!x.skips && (out["filesSent"] != files || out["bytesSent"] != total || in["filesReceived"] != files || in["bytesReceived"] != total) {
			s.errorf(x.number, id, "%d files and %d bytes were to be sent; sender %v, receiver %v", x.files, x.bytes, out, in)
		}
		if n, m := events[s.from][id], events[s.to][id]; n != 1 || m != 1 {
			s.errorf(x.number, id, "it has %d events at the sender and %d at the receiver", n, m)
		}
	}
	t := s.from.t
	if len(s.sent) != *soakTransfers || len(events[s.from]) != *soakTransfers || len(events[s.to]) != *soakTransfers {
		t.Errorf("-soak.seed=%d: of %d transfers %d were made, with events of %d at the sender and %d at the receiver",
			s.seed, *soakTransfers, len(s.sent), len(events[s.from]), len(events[s.to]))
	}
	for dir, want := range map[string]int{s.to.files: 1, filepath.Join(s.to.files, "in"): *soakTransfers} {
		if beside, err := os.ReadDir(dir); err != nil || len(beside) != want {
			t.Errorf("-soak.seed=%d: in %s there is %v (%v)", s.seed, dir, beside, err)
		}
	}
}
