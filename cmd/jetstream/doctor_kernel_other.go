//go:build !linux

package main

import "context"

// checkClock does nothing: whether the clock is synchronized shows only on Linux.
func (d *doctor) checkClock(context.Context) {}

// checkKernel does nothing: the settings are those of Linux.
func (d *doctor) checkKernel(context.Context) {}
