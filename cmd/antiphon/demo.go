package main

import "io"

func runDemo(c *command, args []string, stdout, stderr io.Writer) int { return exitError }
