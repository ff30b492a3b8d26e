package openapi

import (
	_ "embed"
	"maps"
	"slices"
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
		{"/send/receiver-key", "Sending: receiver key", "Which server it is that answers at an address, before a password goes there."},
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

// chapterOf names the chapter of c: the one whose path c's route begins with,
// else one that is named after the route, such as "Sending: schedules".
func chapterOf(c *api.Command) string {
	for _, ch := range chapters() {
		if ch.path != "" && (c.Path == ch.path || strings.HasPrefix(c.Path, ch.path+"/")) {
			return ch.name
		}
	}
	if strings.HasPrefix(c.Path, "/trigger-") {
		return "Triggers"
	}
	segments := strings.Split(strings.TrimPrefix(c.Path, "/"), "/")
	group := map[string]string{"send": "Sending: ", "recv": "Receiving: "}[segments[0]]
	if group != "" && len(segments) > 1 {
		return group + strings.ReplaceAll(segments[1], "-", " ")
	}
	return strings.ToUpper(segments[0][:1]) + strings.ReplaceAll(segments[0][1:], "-", " ")
}

// addChapters names the chapters in use: those of commands, with the ones that
// have no text last, and what is beside the commands.
func (b *builder) addChapters() {
	listed := chapters()
	var further []chapter
	for _, name := range slices.Sorted(maps.Keys(b.chapters)) {
		if !slices.ContainsFunc(listed, func(ch chapter) bool { return ch.name == name }) {
			further = append(further, chapter{name: name})
		}
	}
	beside := slices.IndexFunc(listed, func(ch chapter) bool { return ch.path == "" })
	for _, ch := range slices.Insert(listed, beside, further...) {
		if !b.chapters[ch.name] {
			continue
		}
		tag := openapi31.Tag{Name: ch.name}
		if ch.text != "" {
			tag.WithDescription(ch.text)
		}
		b.spec().Tags = append(b.spec().Tags, tag)
	}
}
