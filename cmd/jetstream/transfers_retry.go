package main

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"

	"jetstream/internal/api"
	"jetstream/internal/client"
	"jetstream/internal/transfer"
	"jetstream/internal/watch"
)

type transfersRetryCmd struct {
	transferFlags
	keyFlags
	followFlags
	jsonFlag
}

// Help says what is sent.
func (*transfersRetryCmd) Help() string {
	return "A new transfer of the same files, as they were listed, with the same parameters. Files that arrived and are in place are not sent again: " +
		"conflict overwrite becomes changed. It needs the password at the receiver again, since the server has not kept it."
}

// Run makes the new transfer and watches it.
func (c *transfersRetryCmd) Run(ctx context.Context, p *program) error {
	return c.report(p, c.run(ctx, p))
}

func (c *transfersRetryCmd) run(ctx context.Context, p *program) error {
	if err := c.check(); err != nil {
		return err
	}
	conn, row, err := c.find(ctx, p)
	if err != nil {
		return err
	}
	defer conn.Close()
	if !row.sent {
		return api.Errorf(api.CodeConflict, "transfer %s is received here: only its sender can do that (%s)", row.id, row.peer)
	}
	old, request, err := retried(ctx, conn, row.id)
	if err != nil {
		return err
	}
	if conn.BySocket() && c.User == "" {
		conn = conn.ActAs(old.Owner)
	}
	to := target(old)
	if err := c.agree(ctx, p, conn, to); err != nil {
		return err
	}
	if request["password"], err = c.remotePassword(ctx, p, to); err != nil {
		return err
	}
	ctx = c.begin(ctx, p)
	defer c.end()
	destination := map[string]any{"destinationAddress": to.Host, "destinationPort": to.Port}
	if c.key != "" {
		destination["destinationPublicKey"] = c.key
	}
	d, err := client.As[transfer.Destination](conn.Call(ctx, "send.createDestination", destination)) // the old one may have been removed
	if err != nil {
		return err
	}
	request["destinationId"] = d.DestinationID
	t, err := client.As[transfer.Transfer](conn.Call(context.WithoutCancel(ctx), "send.createTransfer", request))
	if err != nil {
		return err
	}
	w := &watch.Watcher{Conn: conn, Stdout: p.Stdout, Stderr: p.Stderr, Label: shortID(t.TransferID), JSON: c.JSON, OnInterrupt: c.choose}
	return c.follow(ctx, w, t, to)
}

// target is where a transfer was sent to.
func target(t transfer.Transfer) transfer.Target {
	return transfer.Target{User: t.Username, Host: t.DestinationAddress, Port: t.DestinationPort, Path: t.DestinationPath}
}

// retried returns a transfer that has ended, and the parameters of one that sends what is
// missing.
func retried(ctx context.Context, conn *client.Client, id string) (old transfer.Transfer, request map[string]any, err error) {
	reply, err := conn.Call(ctx, "send.getTransfer", map[string]any{"transferId": id})
	if old, err = client.As[transfer.Transfer](reply, err); err != nil {
		return old, nil, err
	}
	if old.Processing {
		return old, nil, api.Errorf(api.CodeConflict, "transfer %s has not ended: it is %s; `jetstream transfers watch %s` follows it", id, old.Status, id)
	}
	m, err := client.As[transfer.Manifest](conn.Call(ctx, "send.getManifest", map[string]any{"manifestId": old.ManifestID}))
	if errors.Is(err, &api.Error{Code: api.CodeNotFound}) {
		return old, nil, api.Errorf(api.CodeNotFound, "the list of files of transfer %s has been removed: send them again with `jetstream send SOURCE... %s`, "+
			"which leaves out what has arrived", id, target(old))
	}
	if err != nil {
		return old, nil, err
	}
	fields := map[string]json.RawMessage{}
	if err := json.Unmarshal(reply.Result, &fields); err != nil {
		return old, nil, err
	}
	request = map[string]any{}
	for _, f := range api.Fields(reflect.TypeFor[transfer.Params]()) {
		if value, ok := fields[f.Name]; ok && string(value) != "null" {
			request[f.Name] = value
		}
	}
	if old.DestinationPathBase64 != "" { // the other one is only for people then
		delete(request, "destinationPath")
		request["destinationPathBase64"] = old.DestinationPathBase64
	}
	request["manifestId"] = m.ManifestID
	if old.Conflict == transfer.ConflictOverwrite {
		request["conflict"] = transfer.ConflictChanged
	}
	return old, request, nil
}
