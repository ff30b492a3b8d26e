package main

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"jetstream/internal/api"
	"jetstream/internal/client"
	"jetstream/internal/terminal"
	"jetstream/internal/transfer"
	"jetstream/internal/watch"
)

// transfersCmd is jetstream transfers: what is sent and received, followed and
// steered.
type transfersCmd struct {
	List    transfersListCmd    `cmd:"" default:"withargs" help:"List the transfers that are under way, and those that ended last."`
	Watch   transfersWatchCmd   `cmd:"" help:"Watch a transfer to its end."`
	Cancel  transfersCancelCmd  `cmd:"" help:"Cancel a transfer, sent or received."`
	Suspend transfersSuspendCmd `cmd:"" help:"Suspend a sent transfer until resume."`
	Resume  transfersResumeCmd  `cmd:"" help:"Go on with a suspended transfer."`
	Retry   transfersRetryCmd   `cmd:"" help:"Send again what is missing of a transfer that has ended."`
}

// Help describes the ids.
func (transfersCmd) Help() string {
	return "An ID may be the beginning or the end of one, 4 digits or more, if no other transfer's id begins or ends so; " +
		"or `last`, the newest."
}

// transferRow is a transfer as the commands show it, sent or received.
type transferRow struct {
	sent       bool
	id         string
	peer       string // host and directory of the other side
	status     transfer.Status
	processing bool
	message    string
	files      int64
	done, size int64 // bytes
	rate       float64
	eta        *int64 // seconds
	begin, end api.Time
	owner      string
}

func sentRow(t transfer.Transfer) transferRow {
	return transferRow{
		sent: true, id: t.TransferID, peer: "to " + api.HostText(t.DestinationAddress) + ":" + t.DestinationPath, status: t.Status, processing: t.Processing,
		message: t.ErrorMessage, files: t.TotalFiles, done: t.BytesSent, size: t.TotalBytes, rate: t.Rate, eta: t.EtaSeconds,
		begin: t.RequestTime, end: t.EndTime, owner: t.Owner,
	}
}

func receivedRow(t transfer.RecvTransfer) transferRow {
	return transferRow{
		id: t.TransferID, peer: "from " + api.HostText(t.SourceIP) + " in " + t.DestinationPath, status: t.Status, processing: t.Processing,
		message: t.ErrorMessage, files: t.TotalFiles, done: t.BytesReceived, size: t.TotalSize, rate: t.Rate,
		begin: t.StartTime, end: t.EndTime, owner: t.Username,
	}
}

// sentList and receivedList are the results of the lists of transfers.
type sentList struct {
	Transfers []transfer.Transfer `json:"transfers"`
}

type receivedList struct {
	Transfers []transfer.RecvTransfer `json:"transfers"`
}

type transfersListCmd struct {
	serverFlags
	Status   string `complete:"send.getTransfers.status" help:"Only those in this state: pending, active, suspended, receiving, cancelled, complete or error."`
	Sent     bool   `xor:"direction" help:"Only those that are sent."`
	Received bool   `xor:"direction" help:"Only those that are received."`
	Limit    int    `default:"10" help:"How many of those that have ended, sent and received, at most."`
}

// maxUnderWay is how many transfers of a state are listed that have not ended.
const maxUnderWay = 1000

// Run prints the tables.
func (c *transfersListCmd) Run(ctx context.Context, p *program) error {
	if c.Limit < 1 || c.Limit > maxUnderWay {
		return usagef("--limit must be 1 to %d", maxUnderWay)
	}
	conn, _, err := c.connect(ctx, p)
	if err != nil {
		return err
	}
	defer conn.Close()
	sent, received := sentList{Transfers: []transfer.Transfer{}}, receivedList{Transfers: []transfer.RecvTransfer{}}
	if !c.Received {
		if sent.Transfers, err = listTransfers(ctx, conn, "send.getTransfers", c, func(l sentList) []transfer.Transfer { return l.Transfers },
			func(t transfer.Transfer) string { return t.TransferID }, transfer.StatusActive, transfer.StatusPending, transfer.StatusSuspended); err != nil {
			return err
		}
	}
	if !c.Sent {
		if received.Transfers, err = listTransfers(ctx, conn, "recv.getTransfers", c, func(l receivedList) []transfer.RecvTransfer { return l.Transfers },
			func(t transfer.RecvTransfer) string { return t.SourcePublicKey + t.TransferID }, transfer.StatusReceiving); err != nil {
			return err
		}
	}
	if c.asJSON() {
		both, err := api.Marshal(map[string]any{"sent": sent.Transfers, "received": received.Transfers})
		if err != nil {
			return err
		}
		return p.printJSON(both)
	}
	var rows []transferRow
	for _, t := range sent.Transfers {
		rows = append(rows, sentRow(t))
	}
	for _, t := range received.Transfers {
		rows = append(rows, receivedRow(t))
	}
	return c.table(p, rows)
}

// listTransfers returns the transfers of one direction: those of the states that are
// under way, and the newest of all; with a status those in it.
func listTransfers[L, T any](ctx context.Context, conn *client.Client, command string, c *transfersListCmd, of func(L) []T, key func(T) string, underWay ...transfer.Status) ([]T, error) {
	all := []T{}
	known := map[string]bool{}
	add := func(status transfer.Status, limit int) error {
		params := map[string]any{"limit": limit}
		if status != "" {
			params["status"] = status
		}
		list, err := client.As[L](conn.Call(ctx, command, params))
		for _, t := range of(list) {
			if !known[key(t)] {
				known[key(t)] = true
				all = append(all, t)
			}
		}
		return err
	}
	if c.Status != "" {
		status := transfer.Status(c.Status)
		if (status == transfer.StatusReceiving) != (command == "recv.getTransfers") && status.Processing() {
			return all, nil // a state of the other direction
		}
		return all, add(status, c.Limit)
	}
	for _, status := range underWay {
		if err := add(status, maxUnderWay); err != nil {
			return nil, err
		}
	}
	return all, add("", c.Limit)
}

// table prints those under way, the oldest first as they are served, then those that
// have ended, the newest first.
func (c *transfersListCmd) table(p *program, rows []transferRow) error {
	slices.SortStableFunc(rows, func(a, b transferRow) int {
		switch {
		case a.processing != b.processing && a.processing:
			return -1
		case a.processing != b.processing:
			return 1
		case a.processing:
			return cmp.Compare(a.begin, b.begin)
		}
		return cmp.Compare(b.end, a.end)
	})
	if len(rows) == 0 {
		_, err := fmt.Fprintln(p.Stdout, "(none)")
		return err
	}
	t := terminal.Table{Wide: c.Wide}
	head := []any{"ID", "STATUS", "DONE", "SIZE", "RATE", "LEFT", "BEGAN", "TO OR FROM"}
	if c.Wide {
		head = append(head, "USER", "FILES", "ENDED")
	}
	t.Row(head...)
	for _, r := range rows {
		id := r.id
		if !c.Wide {
			id = shortID(id)
		}
		cells := []any{id, r.status, r.percent(), watch.Bytes(r.size), r.speed(), r.left(), age(r.begin), r.peer}
		if c.Wide {
			cells = append(cells, r.owner, r.files, clock(r.end))
		}
		t.Row(cells...)
		t.Below("", r.message)
	}
	return p.print(&t)
}

func (r transferRow) percent() string {
	switch {
	case r.status == transfer.StatusComplete:
		return "100 %"
	case r.size == 0:
		return "0 %"
	}
	return fmt.Sprintf("%d %%", r.done*100/r.size)
}

// speed is the present rate of a transfer that is under way.
func (r transferRow) speed() string {
	if !r.processing || r.rate <= 0 {
		return "-"
	}
	return watch.Rate(r.rate)
}

func (r transferRow) left() string {
	if !r.processing || r.eta == nil {
		return "-"
	}
	return (time.Duration(*r.eta) * time.Second).String()
}

// shortID is what tables show of an id.
func shortID(id string) string { return id[max(0, len(id)-8):] }

// age says how long ago something was.
func age(t api.Time) string {
	if t == 0 {
		return "-"
	}
	d := max(time.Since(t.Std()), 0)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds ago", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm ago", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh ago", int(d.Hours()))
	}
	return fmt.Sprintf("%dd ago", int(d.Hours()/24))
}

// idDigits is what a part of an id looks like.
var idDigits = regexp.MustCompile(`^[0-9a-f]{4,32}$`)

// findTransfer returns the transfer that is meant by an id, a part of one, or last.
func findTransfer(ctx context.Context, conn *client.Client, text string) (transferRow, error) {
	params := map[string]any{"limit": 1}
	if text != "last" {
		text = strings.ToLower(text)
		if !idDigits.MatchString(text) {
			return transferRow{}, usagef("%q is no id of a transfer: give it, 4 or more digits of its beginning or end, or last", text)
		}
		params = map[string]any{"transferId": text, "limit": 6}
	}
	sent, err := client.As[sentList](conn.Call(ctx, "send.getTransfers", params))
	if err != nil {
		return transferRow{}, err
	}
	received, err := client.As[receivedList](conn.Call(ctx, "recv.getTransfers", params))
	if err != nil {
		return transferRow{}, err
	}
	var found []transferRow
	for _, t := range sent.Transfers {
		found = append(found, sentRow(t))
	}
	for _, t := range received.Transfers { // one that this server sends to itself is the sent one
		if !slices.ContainsFunc(found, func(r transferRow) bool { return r.id == t.TransferID }) {
			found = append(found, receivedRow(t))
		}
	}
	switch {
	case len(found) == 0 && text == "last":
		return transferRow{}, api.Errorf(api.CodeNotFound, "there are no transfers")
	case len(found) == 0:
		return transferRow{}, api.Errorf(api.CodeNotFound, "no transfer has an id that begins or ends with %s", text)
	case text == "last":
		return slices.MaxFunc(found, func(a, b transferRow) int { return cmp.Compare(a.begin, b.begin) }), nil
	case len(found) > 1:
		var list []string
		for _, r := range found {
			list = append(list, fmt.Sprintf("%s (%s, %s)", r.id, r.peer, clock(r.begin)))
		}
		return transferRow{}, usagef("%s is the beginning or end of several ids; give more of it: %s", text, strings.Join(list, ", "))
	}
	return found[0], nil
}
