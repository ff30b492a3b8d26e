//go:build !linux

package sender

import "net"

// Other systems let nobody choose.
func setCongestion(net.Conn, string) error { return nil }

func readLink(net.Conn) link { return link{} }

func readWork(net.Conn) work { return work{} }

func readPath(net.Conn) path { return path{} }

func limitUnsent(net.Conn, int) {}

func setPacing(net.Conn, uint64) {}
