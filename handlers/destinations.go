package handlers

import "jetstream/internal/api"

func destinationCommands(d Deps) []*api.Command { return nil }
