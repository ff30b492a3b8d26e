package gateway

import "testing"

// descriptors is how many files this process may open; Windows has no limit.
func descriptors(*testing.T) int { return 1 << 30 }
