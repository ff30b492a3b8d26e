//go:build !linux && !darwin

package server

var roles map[string]func(string)
