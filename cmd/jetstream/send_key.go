package main

import (
	"context"
	"errors"
	"net"
	"strconv"
	"strings"

	"jetstream/internal/api"
	"jetstream/internal/client"
	"jetstream/internal/terminal"
	"jetstream/internal/transfer"
	"jetstream/internal/transfer/wire"
)

// keyFlags are about the public key of a receiver that the user has not sent to yet.
// Once something is sent to it, the key is pinned.
type keyFlags struct {
	AcceptKey bool   `name:"accept-key" xor:"key" help:"Take the key that a receiver shows at first contact without a question. Whoever answers at its address gets the password."`
	PublicKey string `name:"public-key" xor:"key" placeholder:"KEY" help:"Send only to the server with this key: publicKey of its jetstream api getServerInfo."`

	// key is the one that was given or agreed to; empty where the server has one, or
	// takes any.
	key string `kong:"-"`
}

// agree sees to it that no password goes to a receiver whose key nobody has agreed to.
func (k *keyFlags) agree(ctx context.Context, p *program, conn *client.Client, to transfer.Target) error {
	if k.PublicKey != "" && !wire.ValidKey(k.PublicKey) {
		return usagef("--public-key: %s is no public key: it is the publicKey of the receiver's getServerInfo, 43 characters of base64url", api.Quote(k.PublicKey))
	}
	if k.AcceptKey {
		return nil
	}
	request := map[string]any{"destinationAddress": to.Host}
	if to.Port != 0 {
		request["destinationPort"] = to.Port
	}
	shown, err := client.As[transfer.ReceiverKey](conn.Call(ctx, "send.getReceiverKey", request))
	unreached := errors.Is(err, &api.Error{Code: api.CodeUnavailable})
	_, asks := p.terminal()
	switch {
	case k.PublicKey != "" && (unreached || err == nil && shown.DestinationPublicKey == k.PublicKey):
		k.key = k.PublicKey
		return nil
	case err == nil && k.PublicKey != "":
		return otherKey(shown, k.PublicKey)
	case err == nil && shown.Pinned:
		return nil
	case unreached && !asks:
		return usagef("%s; its key is not known yet: give --public-key KEY, or --accept-key to take the one that it will show", api.ErrorOf(err).Message)
	case unreached:
		return api.Wrap(err, api.CodeUnavailable, "%s; its key is not known yet: try again when it answers, or give --public-key KEY", api.ErrorOf(err).Message)
	case err != nil:
		return err
	}
	at, key := net.JoinHostPort(shown.DestinationAddress, strconv.Itoa(shown.DestinationPort)), shown.DestinationPublicKey
	if !asks {
		return usagef("the key of %s is not known yet, and there is no terminal to ask on: it shows %s; compare that with the publicKey of its getServerInfo, "+
			"and give --public-key %s, or --accept-key to take any", at, key, key)
	}
	if _, err := terminal.Fprintf(p.Stderr, "The key of %s is not known yet. It shows\n    %s\nCompare it with publicKey of `jetstream api getServerInfo` there.\n", at, key); err != nil {
		return err
	}
	answer, err := p.askLine(ctx, "Is it the right one? [y/N]")
	if err != nil {
		return err
	}
	if answer = strings.ToLower(answer); answer != "y" && answer != "yes" {
		return errors.New("the key was not accepted: nothing was sent")
	}
	k.key = key
	return nil
}

// otherKey is the error of a receiver that has another key than the one that was given.
func otherKey(k transfer.ReceiverKey, given string) error {
	at := net.JoinHostPort(k.DestinationAddress, strconv.Itoa(k.DestinationPort))
	if !k.Pinned {
		return api.Errorf(api.CodeConflict, "%s shows the key %s and not %s: nothing was sent; compare both with the publicKey of its getServerInfo",
			at, k.DestinationPublicKey, given)
	}
	return api.Errorf(api.CodeConflict, "%s is known by the key %s and not %s: nothing was sent; if its server was installed anew: "+
		"jetstream api updateDestination --destinationId %s --destinationPublicKey %s", at, k.DestinationPublicKey, given, k.DestinationID, given)
}
