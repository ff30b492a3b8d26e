package server

import (
	"encoding/json"
	"os"
	"path/filepath"
)

// EndpointFile is the name of the file in the state directory that holds the
// Endpoint of the running server. It is removed at a clean stop.
const EndpointFile = "endpoint.json"

// Endpoint holds the addresses that a server listens on.
type Endpoint struct {
	APIHost   string `json:"apiHost"`
	APIPort   int    `json:"apiPort"`
	RecvPort  int    `json:"recvPort"`
	ServerUID string `json:"serverUid"`
	PID       int    `json:"pid"`
}

// Endpoint returns the addresses that s listens on. They are fixed by New.
func (s *Server) Endpoint() Endpoint {
	apiHost, apiPort := hostPort(s.apiListener)
	_, recvPort := hostPort(s.recvListener)
	return Endpoint{apiHost, apiPort, recvPort, s.serverUID, os.Getpid()}
}

// writeEndpoint writes EndpointFile atomically, for other programs on this
// machine. It is called once both ports listen.
func (s *Server) writeEndpoint() error {
	text, err := json.MarshalIndent(s.Endpoint(), "", "  ")
	if err != nil {
		return err
	}
	path := filepath.Join(s.o.StateDir, EndpointFile)
	if err := os.WriteFile(path+".new", append(text, '\n'), 0o600); err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	s.onClose(func() error { return os.Remove(path) })
	return nil
}
