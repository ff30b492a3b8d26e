// Command noop does nothing; the benchmarks run it as a trigger script.
package main

func main() {}
