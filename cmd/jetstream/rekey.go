package main

import (
	"context"
	"fmt"
	"strings"

	"jetstream/internal/backup"
	"jetstream/internal/terminal"
)

// rekeyCmd is jetstream rekey.
type rekeyCmd struct {
	Force bool `name:"force" help:"Also while transfers are under way, which then fail."`
	Yes   bool `name:"yes" help:"Do not ask on a terminal."`
	stateDirFlag
}

// Help says when and what for.
func (*rekeyCmd) Help() string {
	return `For a server whose key or backup others may have read, and for a copy of a server that
is to run beside the original. The server must be stopped. Its peers know it by its
key: what they have to do is printed. Transfers belong to the key, at both ends: those
that are under way cannot go on.

The former key stays in the state directory as identity.key.TIME. Remove it once no peer
needs the former server back.`
}

// Run makes the new key.
func (c *rekeyCmd) Run(ctx context.Context, p *program) error {
	dir, err := c.dir(p)
	if err != nil {
		return err
	}
	if _, ok := p.terminal(); ok {
		if err := p.confirm(ctx, c.Yes, "The server of "+dir+" gets a new key: every peer has to be told before transfers with it work again."); err != nil {
			return err
		}
	}
	r, err := backup.Rekey(ctx, dir, c.Force)
	if err != nil {
		return err
	}
	_, err = terminal.Fprintf(p.Stdout, "The server has the new key %s\n", r.Present)
	if err == nil {
		_, err = fmt.Fprint(p.Stdout, rekeyedText(r))
	}
	return err
}

// rekeyedText says what the peers must do.
func rekeyedText(r backup.Rekeyed) string {
	text := fmt.Sprintf("The former key %s is kept in %s\n", r.Former, terminal.Printable(r.Aside))
	if r.Sending > 0 {
		text += fmt.Sprintf("%s and will fail: jetstream transfers retry sends one again.\n", count(r.Sending, "transfer was being sent", "transfers were being sent"))
	}
	if r.Receiving > 0 {
		text += fmt.Sprintf("%s and will fail at their senders once these see the new key; send them again there.\n", count(r.Receiving, "transfer was being received", "transfers were being received"))
	}
	return text + fmt.Sprintf(`
On each server that sends to this one, for its destination that is this server:
  jetstream api send.updateDestination --destinationId ID --destinationPublicKey %s
`, r.Present) + known("Transfers have come from", r.Senders) + fmt.Sprintf(`
On each server that this one sends to, if it takes transfers from authorized servers only:
  jetstream api recv.addAuthorizedClient --publicKey %s
  jetstream api recv.removeAuthorizedClient --publicKey %s
`, r.Present, r.Former) + known("Transfers go to", r.Receivers)
}

// known lists peers.
func known(what string, peers []string) string {
	if len(peers) == 0 {
		return ""
	}
	return what + " " + terminal.Printable(strings.Join(peers, ", ")) + "\n"
}
