package control

import (
	"errors"
	"net/http"
)

// Code classifies an Error for programs.
type Code string

// Codes and what they mean for the caller.
const (
	CodeBadRequest Code = "bad_request" // the request makes no sense; repeating it does not help
	CodeForbidden  Code = "forbidden"   // the caller may only read, or only read the metrics
	CodeNotFound   Code = "not_found"
	CodeMethod     Code = "method_not_allowed"
	CodeTooLarge   Code = "too_large"
	CodeBrokenOff  Code = "broken_off" // the request did not arrive whole
	CodeRefused    Code = "refused"    // not possible in the present state
	CodeCrowded    Code = "crowded"    // too many callers are there already; nothing was done
	CodeBusy       Code = "busy"       // the same or a conflicting operation is running
	CodeDisabled   Code = "disabled"   // switched off by configuration, or not part of this version
	CodeInternal   Code = "internal"
)

// status maps codes to HTTP.
var status = map[Code]int{
	CodeBadRequest: http.StatusBadRequest,
	CodeForbidden:  http.StatusForbidden,
	CodeNotFound:   http.StatusNotFound,
	CodeMethod:     http.StatusMethodNotAllowed,
	CodeTooLarge:   http.StatusRequestEntityTooLarge,
	CodeBrokenOff:  http.StatusBadRequest,
	CodeRefused:    http.StatusConflict,
	CodeCrowded:    http.StatusServiceUnavailable,
	CodeBusy:       http.StatusServiceUnavailable,
	CodeDisabled:   http.StatusNotImplemented,
	CodeInternal:   http.StatusInternalServerError,
}

// Error is a refusal by the daemon. Hint says what to do about it, or is empty.
type Error struct {
	Message string `json:"error"`
	Code    Code   `json:"code"`
	Hint    string `json:"hint,omitempty"`
	Column  int    `json:"column,omitempty"` // of the filter, counted from 1, if the message is about it
}

// Error returns message and hint on one line.
func (e *Error) Error() string {
	if e.Hint == "" {
		return e.Message
	}
	return e.Message + ": " + e.Hint
}

// asError returns err as an *Error, an unclassified one as CodeInternal.
func asError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Message: err.Error(), Code: CodeInternal}
}
