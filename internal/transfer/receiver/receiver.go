// Package receiver receives the files of other servers into users' sandboxes.
// They are written to part files in a staging directory, and get their final
// names when all entries of the transfer are verified and on disk.
package receiver

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"jetstream/internal/account"
	"jetstream/internal/api"
	"jetstream/internal/connlimit"
	"jetstream/internal/diskspace"
	"jetstream/internal/stream"
	"jetstream/internal/transfer"
	"jetstream/internal/transfer/digest"
	"jetstream/internal/transfer/pace"
	"jetstream/internal/transfer/wire"
)

// Accounts is what the receiver needs of account.Service.
type Accounts interface {
	LoginSender(ctx context.Context, name, secret, remote string) (account.Access, error)
	TokenLasts(ctx context.Context, tokenID string) error
	User(ctx context.Context, name string) (account.User, error)
	Confined(ctx context.Context, userName, within string, use account.Use) (*account.Sandbox, error)
	SandboxesBelow(ctx context.Context, dir string) ([]string, error)
}

// Options configure a Receiver.
type Options struct {
	// Store stores received transfers. Required.
	Store transfer.RecvStore
	// Clients stores which servers may send. Required.
	Clients Clients
	// Emitter queues the scripts of events in the transaction that changes a
	// transfer's state. Required.
	Emitter transfer.Emitter
	// Stream is the event log, which gets each change of a transfer's state and
	// its progress; nil discards them.
	Stream *stream.Log
	// Accounts verifies passwords and opens sandboxes. Required.
	Accounts Accounts
	// Identity is the key of this server. Required.
	Identity *wire.Identity
	// ServerUID and Software are sent to senders in the handshake.
	ServerUID, Software string
	// Logins observes logins and their refusals; nil: nobody does.
	Logins func(context.Context, Login)
	// Log is for the operator; nil discards it.
	Log *slog.Logger
	// MaxConnections is how many connections are open at a time. Of more, one
	// is closed that has shown no login or ticket yet: first those that have
	// not even a key, last those with the key of a known server. Where all have,
	// it is the newest, and its sender tries again. 0 is 256.
	MaxConnections int
	// Grace is how long a connection has for its handshake or login before
	// another may take its place; 0 is 2 s.
	Grace time.Duration
	// Incoming limits what all transfers together receive; nil: nothing does.
	Incoming *pace.Limiter
	// Digest is the algorithm of the digests of received files; empty is
	// digest.Default.
	Digest digest.Algorithm
	// MinFree is how much must be free for transfers to go on, on the file system
	// that the files arrive on and on that of StateDir. While less is, they wait. 0: a
	// transfer fails when the disk is full.
	MinFree diskspace.Floor
	// StateDir is the state directory; empty: MinFree is not for it.
	StateDir string
	// Modes are those of what is received.
	Modes Modes
	// MaxEntries is how many entries one transfer may have; 0 is 50 million.
	MaxEntries int64
}

// Login is the login of a sending server, or its refusal.
type Login struct {
	// Username is the user's name, or what the server gave as one; empty if it may
	// not send and was not asked for one.
	Username string
	// TokenID is the id of the API token that it logged in with; empty: the password,
	// or a refused token.
	TokenID string
	// From is the server's address with its port, PublicKey its key.
	From, PublicKey string
	// TransferID is the transfer's; empty for a dry run.
	TransferID string
	// Err is why it was refused, nil when it was not.
	Err error
}

// loginOf is a login by conn.
func loginOf(conn *wire.Conn, username, transferID string) Login {
	return Login{Username: username, From: conn.RemoteAddr().String(), PublicKey: conn.PeerKey(), TransferID: transferID}
}

// Receiver accepts connections of sending servers. Safe for concurrent use.
type Receiver struct {
	o     Options
	log   *slog.Logger
	quiet *quietLog
	// observe is called at the steps of finish, where a test kills the process.
	observe func(step, name string)

	received atomic.Int64
	limiter  *connlimit.Limiter
	started  api.Time // when New was called

	buffers      buffers
	decompressor wire.Decompressor

	mu       sync.Mutex
	live     map[string]*incoming // by transfer.RecvSubject
	sessions map[string]*session  // those that take lanes, by their secret
	conns    map[*wire.Conn]struct{}
}

// openSession lets lanes join a session, until closeSession.
func (r *Receiver) openSession(s *session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sessions[string(s.lanes.secret)] = s
}

func (r *Receiver) closeSession(s *session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s.lanes != nil {
		delete(r.sessions, string(s.lanes.secret))
	}
}

// The ranks of connections that have shown neither login nor ticket.
const (
	rankKey   = 1 // of a server that is not known
	rankLogin = 2 // which is being checked
	rankKnown = 3 // the key of a server that has sent before or is authorized
)

// Crowding returns how many connections had to give way to others since New,
// and when the last one did.
func (r *Receiver) Crowding() (n int64, last time.Time) { return r.limiter.Evicted() }

// BytesReceived returns the number of bytes of files received since New.
func (r *Receiver) BytesReceived() int64 { return r.received.Load() }

// New returns a Receiver. It receives while Serve runs.
func New(o Options) (*Receiver, error) {
	if o.Store == nil || o.Clients == nil || o.Emitter == nil || o.Accounts == nil || o.Identity == nil {
		return nil, errors.New("receiver: Store, Clients, Emitter, Accounts and Identity are required")
	}
	if o.MaxConnections == 0 {
		o.MaxConnections = 256
	}
	if o.Digest == "" {
		o.Digest = digest.Default
	}
	if o.MaxEntries == 0 {
		o.MaxEntries = 50_000_000
	}
	if o.Logins == nil {
		o.Logins = func(context.Context, Login) {}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	limiter := connlimit.New(o.MaxConnections, o.Log.With("listener", "recv"))
	limiter.Grace = cmp.Or(o.Grace, 2*time.Second)
	return &Receiver{
		o: o, log: o.Log, quiet: newQuietLog(o.Log), started: api.Now(), observe: func(string, string) {}, limiter: limiter,
		live: map[string]*incoming{}, sessions: map[string]*session{}, conns: map[*wire.Conn]struct{}{},
	}, nil
}

// Serve goes on with what a former process left, then accepts connections from
// ln until ctx ends. It closes ln and returns when every connection is done:
// nil after ctx ended, else why accepting failed.
func (r *Receiver) Serve(ctx context.Context, ln net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = ln.Close() })
	defer stop()
	if err := r.recover(ctx, &wg); err != nil {
		_ = ln.Close()
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	pause := time.Duration(0)
	for {
		nc, err := ln.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			if !isExhausted(err) && !isTransient(err) {
				return err
			}
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			r.quiet.warn("a connection could not be accepted", "error", err, "pause", pause)
			select {
			case <-time.After(pause):
			case <-ctx.Done():
			}
			continue
		}
		pause = 0
		if r.limiter.Track(nc) {
			wg.Go(func() {
				defer r.limiter.Untrack(nc)
				r.handle(ctx, nc)
			})
		}
	}
}

// isTransient reports whether accepting failed only for one connection.
func isTransient(err error) bool {
	t, ok := errors.AsType[interface {
		error
		Temporary() bool
	}](err)
	return ok && t.Temporary()
}

// recover finishes the transfers whose entries are all recorded, and removes
// the part files of those that have ended.
func (r *Receiver) recover(ctx context.Context, wg *sync.WaitGroup) error {
	rows, err := r.o.Store.Receiving(ctx)
	if err != nil {
		return err
	}
	slots := make(chan struct{}, 4)
	for _, row := range rows {
		switch {
		case !row.Processing:
			r.sweep(ctx, &row)
		case row.Finishing:
			in := r.incoming(row.SourcePublicKey, row.TransferID)
			wg.Go(func() {
				select {
				case slots <- struct{}{}:
				case <-ctx.Done():
					return
				}
				defer func() { <-slots }()
				outer := ctx
				ctx, release, err := in.acquire(ctx, nil)
				if err != nil {
					return
				}
				defer release()
				finishing, err := r.verifyFinishing(outer, ctx, in)
				if err == nil && !finishing {
					return // its sender sends again what was altered
				}
				if err == nil {
					_, err = r.finish(ctx, in)
				}
				if err != nil && ctx.Err() == nil {
					r.log.Warn("a received transfer could not be finished; its sender or the next start tries again",
						"transferId", in.id, "error", err)
				}
			})
		}
	}
	return nil
}
