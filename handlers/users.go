package handlers

import "jetstream/internal/api"

func userCommands(d Deps) []*api.Command { return nil }
