package main

import (
	"cmp"
	"context"
	"fmt"
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
	Owner    string `placeholder:"NAME" help:"Only those of this user; others than oneself are for superusers."`
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
	sent, received, err := c.fetch(ctx, conn)
	if err != nil {
		return err
	}
	if c.asJSON() {
		both, err := api.Marshal(map[string]any{"sent": sent.Transfers, "received": received.Transfers})
		if err != nil {
			return err
		}
		return p.printJSON(both)
	}
	return c.table(p, transferRows(sent, received))
}

// fetch returns the transfers that are listed.
func (c *transfersListCmd) fetch(ctx context.Context, conn *client.Client) (sent sentList, received receivedList, err error) {
	sent, received = sentList{Transfers: []transfer.Transfer{}}, receivedList{Transfers: []transfer.RecvTransfer{}}
	if !c.Received {
		if sent.Transfers, err = listTransfers(ctx, conn, "send.getTransfers", c, func(l sentList) []transfer.Transfer { return l.Transfers },
			func(t transfer.Transfer) string { return t.TransferID }, "owner", transfer.StatusActive, transfer.StatusPending, transfer.StatusSuspended); err != nil {
			return sent, received, err
		}
	}
	if !c.Sent {
		if received.Transfers, err = listTransfers(ctx, conn, "recv.getTransfers", c, func(l receivedList) []transfer.RecvTransfer { return l.Transfers },
			func(t transfer.RecvTransfer) string { return t.SourcePublicKey + t.TransferID }, "username", transfer.StatusReceiving); err != nil {
			return sent, received, err
		}
	}
	return sent, received, nil
}

func transferRows(sent sentList, received receivedList) (rows []transferRow) {
	for _, t := range sent.Transfers {
		rows = append(rows, sentRow(t))
	}
	for _, t := range received.Transfers {
		rows = append(rows, receivedRow(t))
	}
	return rows
}

// listTransfers returns the transfers of one direction: those of the states that are
// under way, and the newest of all; with a status those in it.
func listTransfers[L, T any](ctx context.Context, conn *client.Client, command string, c *transfersListCmd, of func(L) []T, key func(T) string, owner string, underWay ...transfer.Status) ([]T, error) {
	all := []T{}
	known := map[string]bool{}
	add := func(status transfer.Status, limit int) error {
		params := map[string]any{"limit": limit}
		if status != "" {
			params["status"] = status
		}
		if c.Owner != "" {
			params[owner] = c.Owner
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
	underWay := c.Wide || rows[0].processing
	head := []any{"ID", "STATUS", "DONE", "SIZE"}
	if underWay {
		head = append(head, "RATE", "LEFT")
	}
	head = append(head, "AGE", "TO OR FROM")
	if c.Wide {
		head = append(head, "USER", "FILES", "ENDED")
	}
	t.Row(head...)
	for _, r := range rows {
		id := r.id
		if !c.Wide {
			id = shortID(id)
		}
		cells := []any{id, r.status, r.percent(), watch.Bytes(r.size)}
		if underWay {
			cells = append(cells, r.speed(), r.left())
		}
		cells = append(cells, age(r.begin), r.peer)
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
	return shortDuration(time.Duration(*r.eta) * time.Second)
}

// age says how long ago something was.
func age(t api.Time) string {
	if t == 0 {
		return "-"
	}
	d := max(time.Since(t.Std()), 0)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 2*day:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d/day))
}

const day = 24 * time.Hour

// shortDuration writes a duration in at most 6 characters, if it is not of years.
func shortDuration(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 2*day:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd", int(d/day))
}

// wholeTransferID returns the id of the transfer that is meant. A whole id is returned
// as it is, since other records outlast the transfer.
func wholeTransferID(ctx context.Context, conn *client.Client, text string) (string, error) {
	if len(text) == idLength {
		return text, nil
	}
	t, err := findTransfer(ctx, conn, text)
	return t.id, err
}

// findTransfer returns the transfer that is meant by an id, a part of one, or last.
func findTransfer(ctx context.Context, conn *client.Client, text string) (transferRow, error) {
	params := map[string]any{"limit": 1}
	if text != lastID {
		text = strings.ToLower(text)
		if !idDigits.MatchString(text) {
			return transferRow{}, usagef("%q is no id of a transfer: give it, 4 or more digits of its beginning or end, or last", text)
		}
		params = map[string]any{"transferId": text, "limit": mostCandidates + 1}
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
	if text == lastID && len(found) > 0 {
		return slices.MaxFunc(found, func(a, b transferRow) int { return cmp.Compare(a.begin, b.begin) }), nil
	}
	var candidates []listedObject
	for _, r := range found {
		candidates = append(candidates, listedObject{r.id, r.peer + ", " + clock(r.begin)})
	}
	if _, err := oneOf("transfer", text, candidates); err != nil {
		return transferRow{}, err
	}
	return found[0], nil
}
