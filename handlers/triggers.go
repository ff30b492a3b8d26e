package handlers

import "jetstream/internal/api"

func triggerCommands(d Deps) []*api.Command { return nil }
