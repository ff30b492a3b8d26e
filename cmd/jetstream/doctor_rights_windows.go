package main

import "io/fs"

// stateDirFault finds nothing: access lists are not looked at.
func stateDirFault(fs.FileInfo) string { return "" }

// mayWrite reports that there is nothing against it: access lists are not looked at.
func mayWrite(fs.FileInfo, int) bool { return true }

func userName(int) string { return "" }
