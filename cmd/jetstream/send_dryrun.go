package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"jetstream/internal/api"
	"jetstream/internal/client"
	"jetstream/internal/terminal"
	"jetstream/internal/transfer"
	"jetstream/internal/watch"
)

// dryRunSeconds is how long a dry run may take, unless there is a timeout.
const dryRunSeconds = 600

// dryRun asks what the transfer of request would send, and prints that. It removes the
// manifest, since nothing is left of a dry run.
func (c *sendCmd) dryRun(ctx context.Context, p *program, conn *client.Client, to transfer.Target, request map[string]any) error {
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		_, _ = conn.Call(ctx, "send.deleteManifest", map[string]any{"manifestId": request["manifestId"]}) // else it is removed with old ones
	}()
	request["dryRun"], request["destinationAddress"], request["timeoutSeconds"] = true, to.Host, dryRunSeconds
	if to.Port != 0 {
		request["destinationPort"] = to.Port
	}
	if c.key != "" {
		request["destinationPublicKey"] = c.key
	}
	t, err := client.As[transfer.CreatedTransfer](conn.Call(ctx, "send.createTransfer", request))
	if err != nil {
		return err
	}
	plan := t.Plan
	if plan == nil {
		return api.Errorf(api.CodeInternal, "the server's answer has no plan")
	}
	if c.JSON {
		if err := watch.WritePlan(p.Stdout, *plan); err != nil || plan.RefusedEntries == 0 {
			return err
		}
		return fmt.Errorf("%d entries would be refused", plan.RefusedEntries)
	}
	var b strings.Builder
	for _, f := range plan.Files {
		fmt.Fprintf(&b, "%10s  %s\n", watch.Bytes(f.FileSize), terminal.Printable(f.DestPath))
	}
	if plan.MoreFiles {
		fmt.Fprintf(&b, "%10s  and %d more\n", "", plan.FilesToSend-int64(len(plan.Files)))
	}
	for _, f := range plan.Refused {
		fmt.Fprintf(&b, "%10s  %s: %s\n", "refused", terminal.Printable(f.DestPath), terminal.Printable(f.Reason))
	}
	if plan.MoreRefused {
		fmt.Fprintf(&b, "%10s  and %d more\n", "refused", plan.RefusedEntries-int64(len(plan.Refused)))
	}
	printRemoved(&b, plan)
	fmt.Fprintf(&b, "%d files, %s would be sent to %s:%s; %d files, %s are unchanged; %d refused\n",
		plan.FilesToSend, watch.Bytes(plan.BytesToSend), api.HostText(to.Host), to.Path, plan.UnchangedFiles, watch.Bytes(plan.UnchangedBytes), plan.RefusedEntries)
	if c.Mirror && plan.RemovalFault != "" {
		fmt.Fprintf(&b, "the mirror would remove nothing: %s\n", terminal.Printable(plan.RemovalFault))
	} else if c.Mirror {
		fmt.Fprintf(&b, "files and directories that would be removed there: %d\n", plan.EntriesToRemove)
	}
	if _, err := fmt.Fprint(p.Stdout, b.String()); err != nil {
		return err
	}
	if plan.RefusedEntries > 0 || plan.RemovalFault != "" {
		return errQuiet
	}
	return nil
}
