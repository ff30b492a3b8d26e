package main

import "context"

type helpCmd struct {
	Command []string `arg:"" optional:"" help:"The command, such as send or user add; without it, all are listed."`
}

// Run shows what --help shows.
func (c *helpCmd) Run(ctx context.Context, p *program) error {
	return p.command(ctx, append(c.Command, "--help"))
}

// The help texts of commands beyond their flags.

// Help implements kong.HelpProvider.
func (*serverCmd) Help() string {
	return `Examples:

    jetstream server
    jetstream server --trigger-dir /var/lib/jetstream/triggers --trigger-on-api
    jetstream server --api-host 0.0.0.0 --tls-cert site.pem --tls-key site.key

The first start without users makes the user admin; its password is shown once.`
}

// Help implements kong.HelpProvider.
func (*userCmd) Help() string {
	return `Changes the users of the server that runs on this machine, by its control
socket, or those of the state directory where none runs. Root and the server's
user may do so.`
}

// Help implements kong.HelpProvider.
func (*loginCmd) Help() string {
	return `Examples:

    jetstream login --user alice
    jetstream login --host site-b --ca site-b.pem --user alice --days 7

A token is made with the password and kept in your directory for settings, for
this host and port, readable by you alone. It is used where neither
JETSTREAM_API_TOKEN nor a password is given.`
}

// Help implements kong.HelpProvider.
func (*completionCmd) Help() string {
	return `Examples:

    source <(jetstream completion bash)     # in ~/.bashrc
    source <(jetstream completion zsh)      # in ~/.zshrc, after compinit
    jetstream completion fish >~/.config/fish/completions/jetstream.fish`
}
