package notify

import (
	"context"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"

	"ctsync/daemon/control"
)

// lookEvery is how often Watch looks without an event, and while the file is locked.
const lookEvery = time.Second

// Watch calls take for each notification that is parked at path, those that are parked already and those to come, until
// ctx ends. So a word that could not be delivered to a running daemon is late by milliseconds: it needs neither a
// connection nor a start.
//
// It looks when inotify(7) reports a change in the directory, and once a second besides: there may be no directory yet,
// or no inotify, and somebody may hold the lock. log should hold back what repeats: whoever may park can cause it.
func Watch(ctx context.Context, path string, take func(control.Notification), log *slog.Logger) error {
	var events <-chan fsnotify.Event
	var trouble <-chan error
	notifier, err := fsnotify.NewWatcher()
	if err == nil {
		defer notifier.Close()
		events, trouble = notifier.Events, notifier.Errors
		err = notifier.Add(filepath.Dir(path))
	}
	if err != nil {
		log.Warn("cannot watch for parked notifications: they are looked for every second", "err", err)
	}
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		ns, err := Unpark(path)
		for _, n := range ns {
			take(n)
		}
		if err != nil {
			log.Error("parked notifications are not all read: see who else writes in that directory", "err", err)
		}
		for look := false; !look; {
			select {
			case <-ctx.Done():
				return nil
			case e := <-events:
				look = filepath.Base(e.Name) == filepath.Base(path)
			case <-trouble:
				look = true
			case <-tick.C:
				look = true
			}
		}
	}
}
