package control

import (
	"context"
	"errors"
	"net/http"
	"testing"
)

func TestLog(t *testing.T) {
	c := start(t, fake())
	for after, want := range []int{2, 1, 0, 0} {
		p, err := c.Log(context.Background(), uint64(after))
		if err != nil || p.Last != 2 || len(p.Lines) != want {
			t.Errorf("after %d: %+v, %v, want %d lines", after, p, err, want)
		}
	}
	resp, err := c.send(context.Background(), http.MethodGet, "/v1/log?after=-1", nil)
	if e := new(Error); !errors.As(err, &e) || e.Code != CodeBadRequest {
		t.Errorf("after=-1: %v %v", resp, err)
	}
}
