package handlers

import "jetstream/internal/api"

func transferCommands(d Deps) []*api.Command { return nil }
