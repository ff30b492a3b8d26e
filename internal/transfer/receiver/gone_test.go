//go:build unix

package receiver_test

import (
	"testing"

	"jetstream/internal/transfer/wire"
)

// A sender that cannot read a file any more may not know yet that it has arrived: it
// is kept, and the transfer goes on.
func TestFileThatIsGoneButHasArrivedIsKept(t *testing.T) {
	s := newSite(t, t.TempDir())
	p := newSender(t, s)
	p.open.OnError = "continue"
	p.begin(wire.Entry{Name: "/f", Size: 3, Mode: 0o600}, wire.Entry{Name: "/g", Size: 2, Mode: 0o600}, wire.Entry{Name: "/h", Size: 1, Mode: 0o600})
	p.data(0, 0, []byte("abc"))
	p.data(2, 0, []byte("h"))
	p.send(wire.TypeFileGone, wire.FileGone{Index: 0, Message: "deleted"})
	p.send(wire.TypeFileGone, wire.FileGone{Index: 2, Message: "deleted"})
	p.data(1, 0, []byte("gh"))
	p.send(wire.TypeEnd, struct{}{})
	p.wantAnswer("complete", "")
	s.holds(p, map[string][]byte{"f": []byte("abc"), "g": []byte("gh"), "h": []byte("h")})
}
