package server

import (
	"encoding/json"
	"os"
	"path/filepath"
)

// EndpointFile is the file in the state directory that holds the Endpoint of
// the server that runs; a server that has stopped removes it.
const EndpointFile = "endpoint.json"

// Endpoint is where a server listens.
type Endpoint struct {
	APIHost   string `json:"apiHost"`
	APIPort   int    `json:"apiPort"`
	RecvPort  int    `json:"recvPort"`
	ServerUID string `json:"serverUid"`
	PID       int    `json:"pid"`
}

// Endpoint is where s listens, from New on.
func (s *Server) Endpoint() Endpoint {
	apiHost, apiPort := hostPort(s.apiListener)
	_, recvPort := hostPort(s.recvListener)
	return Endpoint{apiHost, apiPort, recvPort, s.serverUID, os.Getpid()}
}

// writeEndpoint tells other programs of this machine where the server is; the
// file appears whole, once both ports listen, and goes at a clean stop.
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
