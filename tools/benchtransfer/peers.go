//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// fastCipher is the fastest that OpenSSH has on a processor with AES.
const fastCipher = "aes128-gcm@openssh.com"

// emptyDir is what sshd wants when root runs it.
const emptyDir = "/run/sshd"

// where says where the two ends of a measurement are.
type where struct {
	near, far string // network namespaces; empty: that of this program
	address   string // of the far end
}

// peers are the other programs' servers at the far end.
type peers struct {
	w       where
	dir     string // of keys and configurations
	to      string // the directory that targets are made in
	ssh     *process
	sshPort int
	user    string // who logs in there
	madeDir bool   // emptyDir is of this program
	rclone  bool   // it is installed
	rsync   *process
	rsyncAt int
	grid    *process
	gridAt  int
	// cipher is what ssh takes unless told.
	cipher string
	// missing says, by its name, why a peer is left out.
	missing []string
}

// lookFor finds a program, which for servers may be where root alone looks.
func lookFor(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	for _, dir := range []string{"/usr/sbin", "/usr/local/sbin", "/sbin"} {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s is not installed", name)
}

// startPeers starts the servers of those that are installed. Their
// configurations and keys are made below dir and are of no use afterwards.
func startPeers(ctx context.Context, w where, dir, to string, wanted *regexp.Regexp) (*peers, error) {
	p := &peers{w: w, dir: dir, to: to}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	for _, each := range []struct {
		names string // of the peers that need it
		start func(context.Context) error
	}{
		{"scp, rsync over ssh, rclone", p.startSSH},
		{"rsync daemon", p.startRsync},
		{"GridFTP", p.startGrid},
	} {
		if !wanted.MatchString(each.names) {
			continue
		}
		if err := each.start(ctx); err != nil {
			if ctx.Err() != nil {
				p.end()
				return nil, ctx.Err()
			}
			p.missing = append(p.missing, each.names+": "+err.Error())
		}
	}
	return p, nil
}

func (p *peers) end() {
	for _, server := range []*process{p.ssh, p.rsync, p.grid} {
		if server != nil {
			server.end()
		}
	}
	if p.madeDir {
		_ = os.Remove(emptyDir)
	}
}

// freePort is a TCP port that nobody uses now.
func freePort(ctx context.Context) (int, error) {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	at, ok := l.Addr().(*net.TCPAddr)
	if !ok {
		return 0, errors.New("not a TCP port")
	}
	return at.Port, nil
}

// serve starts a server at the far end; argv makes its whole command line for a port.
func (p *peers) serve(ctx context.Context, name string, argv func(port int) ([]string, error)) (*process, int, error) {
	port, err := freePort(ctx)
	if err != nil {
		return nil, 0, err
	}
	line, err := argv(port)
	if err != nil {
		return nil, 0, err
	}
	server, err := startProcess(name, p.w.far, line)
	if err != nil {
		return nil, 0, err
	}
	if err := server.await(ctx, func() bool { return server.listensOn(port) }); err != nil {
		server.end()
		return nil, 0, err
	}
	return server, port, nil
}

// startSSH starts an sshd with keys of its own and a client's key that opens it.
func (p *peers) startSSH(ctx context.Context) (err error) {
	sshd, err := lookFor("sshd")
	if err != nil {
		return err
	}
	for _, need := range []string{"ssh", "ssh-keygen"} {
		if _, err := lookFor(need); err != nil {
			return err
		}
	}
	for _, key := range []string{"hostkey", "key"} {
		_ = os.Remove(p.file(key))
		if out, err := exec.CommandContext(ctx, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", p.file(key)).CombinedOutput(); err != nil {
			return fmt.Errorf("ssh-keygen: %w: %s", err, lastLine(string(out)))
		}
	}
	if os.Mkdir(emptyDir, 0o755) == nil { //nolint:gosec // as its package makes it
		p.madeDir = true
	}
	me, err := user.Current()
	if err != nil {
		return err
	}
	p.user = me.Username
	host, err := os.ReadFile(p.file("hostkey.pub"))
	if err != nil {
		return err
	}
	p.ssh, p.sshPort, err = p.serve(ctx, "sshd", func(port int) ([]string, error) {
		config := fmt.Sprintf("Port %d\nListenAddress %s\nHostKey %s\nPidFile none\nUsePAM no\nStrictModes no\nPermitRootLogin prohibit-password\n"+
			"PasswordAuthentication no\nAuthorizedKeysFile %s\nSubsystem sftp internal-sftp\nMaxStartups 100\n"+
			"SetEnv SHLVL=2\n", // a bash below a bash reads no start-up files, whose time is not rsync's
			port, p.w.address, p.file("hostkey"), p.file("key.pub"))
		known := fmt.Sprintf("[%s]:%d %s", p.w.address, port, host)
		return []string{sshd, "-D", "-e", "-f", p.file("sshd.conf")}, errors.Join(
			os.WriteFile(p.file("sshd.conf"), []byte(config), 0o600),
			os.WriteFile(p.file("known"), []byte(known), 0o600)) //nolint:gosec // a directory of this program
	})
	if err != nil {
		return err
	}
	log := p.file("ssh.log")
	if _, err := runTool(ctx, p.w.near, append(p.sshCommand("ssh", "-v", "-E", log, "-p"), p.w.address, "true")); err != nil {
		p.ssh.end()
		p.ssh = nil
		return fmt.Errorf("a login fails: %w: %s", err, lastLine(readText(log)))
	}
	p.cipher = cipherIn(readText(log))
	if _, err := lookFor("rclone"); err == nil {
		p.rclone = true
	} else {
		p.missing = append(p.missing, "rclone: "+err.Error())
	}
	return nil
}

// cipherIn finds the cipher that ssh -v names.
func cipherIn(log string) string {
	for line := range strings.Lines(log) {
		if _, rest, ok := strings.Cut(line, "kex: client->server cipher: "); ok {
			name, _, _ := strings.Cut(rest, " ")
			return name
		}
	}
	return "unknown"
}

func (p *peers) file(name string) string { return filepath.Join(p.dir, name) }

// sshCommand is the head of a command line that uses ssh; portFlag is how the
// program wants the port.
func (p *peers) sshCommand(program string, more ...string) []string {
	line := append([]string{program, "-F", "none", "-i", p.file("key"), "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes",
		"-o", "UserKnownHostsFile=" + p.file("known")}, more...)
	return append(line, strconv.Itoa(p.sshPort))
}

// startRsync starts an rsync daemon whose module "to" is the targets' directory.
func (p *peers) startRsync(ctx context.Context) (err error) {
	rsync, err := lookFor("rsync")
	if err != nil {
		return err
	}
	p.rsync, p.rsyncAt, err = p.serve(ctx, "rsync --daemon", func(port int) ([]string, error) {
		config := fmt.Sprintf("port = %d\naddress = %s\nuse chroot = no\nlog file = /dev/null\n[to]\npath = %s\nread only = no\n", port, p.w.address, p.to)
		if os.Geteuid() == 0 {
			config += "uid = 0\ngid = 0\n"
		}
		return []string{rsync, "--daemon", "--no-detach", "--config=" + p.file("rsyncd.conf")},
			os.WriteFile(p.file("rsyncd.conf"), []byte(config), 0o600)
	})
	return err
}

// startGrid starts a GridFTP server that anybody may write to, as nobody if root
// runs it.
func (p *peers) startGrid(ctx context.Context) (err error) {
	server, err := lookFor("globus-gridftp-server")
	if err != nil {
		return err
	}
	if _, err := lookFor("globus-url-copy"); err != nil {
		return err
	}
	p.grid, p.gridAt, err = p.serve(ctx, "globus-gridftp-server", func(port int) ([]string, error) {
		line := []string{server, "-p", strconv.Itoa(port), "-control-interface", p.w.address, "-data-interface", p.w.address, "-c", "none", "-aa"}
		if os.Geteuid() == 0 {
			line = append(line, "-anonymous-user", "nobody")
		}
		return p.named(line), p.writeHosts()
	})
	return err
}

// candidates are the peers that are there, and cp where both ends are here.
func (p *peers) candidates(durable bool) (all []candidate) {
	if p.w.near == p.w.far {
		all = append(all, p.local(durable))
	}
	if p.ssh != nil {
		all = append(all, p.overSSH(durable)...)
	}
	if p.rsync != nil {
		all = append(all, p.overDaemon(durable)...)
	}
	if p.grid != nil && !durable {
		all = append(all, p.overGrid()...)
	}
	return all
}

// local is cp.
func (p *peers) local(durable bool) candidate {
	name := "cp -r"
	if durable {
		name = "cp -r, then sync -f"
	}
	return tool(name, p.w.near, nil, func(from, to string) [][]string {
		lines := [][]string{{"cp", "-r", from, to}}
		if durable {
			lines = append(lines, []string{"sync", "-f", to})
		}
		return lines
	})
}

func (p *peers) overSSH(durable bool) []candidate {
	login := p.w.address + ":"
	rsync := func(flags ...string) func(from, to string) [][]string {
		return func(from, to string) [][]string {
			line := append([]string{"rsync", "-aW", "-e", strings.Join(p.sshCommand("ssh", "-p"), " ")}, flags...)
			return [][]string{append(line, from, login+to+"/")}
		}
	}
	if durable {
		return []candidate{tool("rsync --fsync over ssh", p.w.near, p.ssh, rsync("--fsync"))}
	}
	scp := func(flags ...string) func(from, to string) [][]string {
		return func(from, to string) [][]string {
			line := p.sshCommand("scp", append(flags, "-q", "-r", "-P")...)
			return [][]string{append(line, from, login+to+"/")}
		}
	}
	all := []candidate{tool("scp -r", p.w.near, p.ssh, scp())}
	if p.w.near == p.w.far {
		all = append(all, tool("scp -r, AES", p.w.near, p.ssh, scp("-c", fastCipher)))
	}
	plain := tool("rsync over ssh", p.w.near, p.ssh, rsync())
	plain.compares = true
	all = append(all, plain)
	if p.rclone {
		all = append(all, p.overClone())
	}
	return all
}

func (p *peers) overDaemon(durable bool) []candidate {
	rsync := func(flags ...string) func(from, to string) []string {
		return func(from, to string) []string {
			return append(append([]string{"rsync", "-aW"}, flags...), from,
				fmt.Sprintf("rsync://%s:%d/to/%s/", p.w.address, p.rsyncAt, filepath.Base(to)))
		}
	}
	plain := func(from, to string) [][]string { return [][]string{rsync()(from, to)} }
	if !durable {
		c := tool("rsync daemon (plain)", p.w.near, p.rsync, plain)
		c.compares = true
		return []candidate{c}
	}
	return []candidate{
		tool("rsync --fsync daemon (plain)", p.w.near, p.rsync, func(from, to string) [][]string { return [][]string{rsync("--fsync")(from, to)} }),
		tool("rsync daemon (plain), then sync -f", p.w.near, p.rsync, func(from, to string) [][]string {
			return append(plain(from, to), []string{"sync", "-f", to})
		}),
	}
}

func (p *peers) overGrid() (all []candidate) {
	for _, flags := range [][]string{{"-p", "4", "-cd", "-fast"}, {"-p", "4", "-cd", "-fast", "-pp"}} {
		name := "GridFTP " + strings.ReplaceAll(strings.Join(flags, " "), " -cd -fast", "")
		c := tool(name, p.w.near, p.grid, func(from, to string) [][]string {
			line := append(append([]string{"globus-url-copy"}, flags...), "-r", "file://"+from+"/",
				fmt.Sprintf("ftp://%s:%d%s/%s/", p.w.address, p.gridAt, to, filepath.Base(from)))
			return [][]string{p.named(line)}
		})
		c.many = slices.Contains(flags, "-pp")
		all = append(all, c)
	}
	return all
}

// named makes a command of GridFTP run with an /etc/hosts of its own, in mounts
// of its own: it looks up the names of addresses and of its host, for which
// nobody can be asked in a network namespace.
func (p *peers) named(argv []string) []string {
	if p.w.near == "" {
		return argv
	}
	return append([]string{"unshare", "-m", "sh", "-c", `mount --bind "$0" /etc/hosts && exec "$@"`, p.file("hosts")}, argv...)
}

// writeHosts writes the file for named.
func (p *peers) writeHosts() error {
	host, err := os.Hostname()
	if err != nil {
		return err
	}
	text := fmt.Sprintf("127.0.0.1 localhost\n%s near\n%s far %s\n", nearAddress, p.w.address, host)
	return os.WriteFile(p.file("hosts"), []byte(text), 0o644) //nolint:gosec // a server that runs as nobody reads it
}

// overClone is rclone as it is without options: four files at a time, each
// compared by its hash afterwards.
func (p *peers) overClone() candidate {
	c := tool("rclone sftp", p.w.near, p.ssh, func(from, to string) [][]string {
		return [][]string{{"rclone", "copy", "--config=", from, ":sftp:" + filepath.Join(to, filepath.Base(from)),
			"--sftp-host=" + p.w.address, "--sftp-port=" + strconv.Itoa(p.sshPort), "--sftp-user=" + p.user,
			"--sftp-key-file=" + p.file("key"), "--sftp-known-hosts-file=" + p.file("known")}}
	})
	c.compares = true
	return c
}
