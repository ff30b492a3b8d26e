package handlers

import "jetstream/internal/api"

func receivedCommands(d Deps) []*api.Command { return nil }
