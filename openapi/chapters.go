package openapi

import (
	_ "embed"
	"strings"

	"github.com/swaggest/openapi-go/openapi31"

	"jetstream/internal/api"
)

// manual is what the document says before its chapters.
//
//go:embed manual.md
var manual string

// The chapters that hold more than the commands of one route.
const (
	tagServer = "Server"
	tagBeside = "Beside the commands"
	tagEvents = "Events for scripts"
)

// chapter is one tag: the commands of a noun.
type chapter struct {
	path string // where the routes of its commands begin; empty for none
	name string
	text string
}

// chapters are in the order in which one meets them.
func chapters() []chapter {
	return []chapter{
		{"/server", tagServer, "What this server is, its limits and its end."},
		{"/users", "Users", "Who may log in. A user's sandbox is the directory that `/` means in that user's paths, as source and as target."},
		{"/tokens", "Tokens", "Credentials for programs: each may do less than its user, ends by itself, and can be taken back alone."},
		{"/files", "Files", "What lies in the caller's sandbox. No path leads out of it."},
		{"/send/destinations", "Sending: destinations", "Where to send: other servers. A destination is one per user, address and port."},
		{"/send/connections", "Sending: connections", "How this server reaches its destinations at present."},
		{"/send/manifests", "Sending: manifests", "What to send: a list of files, made once from `fileMappings` and used by any number of transfers."},
		{"/send/transfers", "Sending: transfers", "A transfer brings the files of a manifest to a destination, on behalf of a user there."},
		{"/recv/transfers", "Receiving: transfers", "The transfers that other servers make to this one, seen by the receiving user and by superusers."},
		{"/recv/sources", "Receiving: sources", "The servers that send here."},
		{"/recv/authorized-clients", "Receiving: authorized clients", "The public keys of servers that may send here."},
		{"/triggers", "Triggers", "The scripts that run on what happens: which there are, what is wrong with them, and their queue."},
		{"/trigger-runs", "Trigger runs", "Every run of a script: its event, attempt, exit status and output. The queue is the runs that are `queued`."},
		{"", tagBeside, "The envelope, the page's session, health and this document."},
		{"", tagEvents, "What happens at the server. For each event the operator may put a script of the same name into the trigger " +
			"directory; it gets the parameters as positional arguments, in the order of `x-arguments`. Nothing is sent over the network."},
	}
}

// chapterOf is the chapter whose path c's route begins with.
func chapterOf(c *api.Command) string {
	for _, ch := range chapters() {
		if ch.path != "" && (c.Path == ch.path || strings.HasPrefix(c.Path, ch.path+"/")) {
			return ch.name
		}
	}
	if strings.HasPrefix(c.Path, "/trigger-") {
		return "Triggers"
	}
	return tagServer
}

// addChapters names the chapters in use, in their order.
func (b *builder) addChapters() {
	for _, ch := range chapters() {
		if b.chapters[ch.name] {
			b.spec().Tags = append(b.spec().Tags, openapi31.Tag{Name: ch.name, Description: &ch.text})
		}
	}
}
