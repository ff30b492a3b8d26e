package handlers

import "jetstream/internal/api"

func manifestCommands(d Deps) []*api.Command { return nil }
