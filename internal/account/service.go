package account

// Service answers who somebody is and what is theirs. Safe for concurrent use.
type Service struct{}
