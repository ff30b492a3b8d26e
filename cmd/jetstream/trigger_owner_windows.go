package main

// ownerOf returns 0: Windows has no numeric user ids.
func ownerOf(string) int { return 0 }
