// Package session is the behaviour of conntrackd's protocol v1 in FTFW mode; it knows no socket and no clock.
package session
