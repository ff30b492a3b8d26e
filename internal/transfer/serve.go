package transfer

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"jetstream/internal/api"
)

// How long to wait before the database is tried again after an error.
const (
	retryFirst = time.Second
	retryMost  = 10 * time.Second
)

// purgeBatch is how many entries of dead file lists one transaction removes.
const purgeBatch = 5000

// Serve walks the sources of pending manifests, also of those whose walk was
// cut off when the server last stopped, until ctx ends. It returns nil when
// its walks have ended; what they left is started over next time.
func (e *Engine) Serve(ctx context.Context) error {
	var walkers sync.WaitGroup
	defer walkers.Wait()
	pause := retryFirst
	for {
		err := e.startWalks(ctx, &walkers)
		more, purgeErr := e.purge(ctx)
		err = errors.Join(err, purgeErr)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			e.o.Log.Error("manifests cannot be worked on; trying again", "error", err)
			sleep(ctx, pause)
			pause = min(2*pause, retryMost)
			continue
		case !more:
			select {
			case <-e.walkWake:
			case <-ctx.Done():
			}
		}
		pause = retryFirst
	}
}

// startWalks starts as many of the oldest pending manifests as there are free
// walkers.
func (e *Engine) startWalks(ctx context.Context, walkers *sync.WaitGroup) error {
	e.mu.Lock()
	running := slices.Collect(maps.Keys(e.walks))
	e.mu.Unlock()
	free := e.o.Walkers - len(running)
	if free <= 0 {
		return nil
	}
	pending, err := e.o.Store.PendingManifests(ctx, running, free)
	if err != nil {
		return err
	}
	for _, m := range pending {
		walkCtx, stop := context.WithCancel(ctx)
		e.mu.Lock()
		e.walks[m.ManifestID] = stop
		e.mu.Unlock()
		walkers.Go(func() {
			defer func() {
				stop()
				e.mu.Lock()
				delete(e.walks, m.ManifestID)
				e.mu.Unlock()
				signal(e.walkWake)
			}()
			e.carryOut(walkCtx, m)
		})
	}
	return nil
}

// stopWalk ends the walk of a manifest that was deleted.
func (e *Engine) stopWalk(manifestID string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if stop := e.walks[manifestID]; stop != nil {
		stop()
	}
}

// carryOut walks one manifest and saves how that ended. When ctx ends or the
// manifest is deleted it leaves everything as it is. A database that cannot
// save the end (a full disk) is tried again until it can.
func (e *Engine) carryOut(ctx context.Context, m Manifest) {
	files, size, err := e.walk(ctx, m)
	for pause := retryFirst; ctx.Err() == nil; pause = min(2*pause, retryMost) {
		endErr := e.endWalk(ctx, m.ManifestID, files, size, err)
		if endErr == nil || api.ErrorOf(endErr).Code == api.CodeNotFound {
			return
		}
		e.o.Log.Error("the end of a manifest's walk was not saved", "manifestId", m.ManifestID, "error", endErr)
		sleep(ctx, pause)
	}
}

// endWalk moves a manifest to complete or, when walkErr is not nil, to error.
func (e *Engine) endWalk(ctx context.Context, manifestID string, files, size int64, walkErr error) error {
	return e.o.Store.Update(ctx, func(tx Tx) error {
		m, err := tx.Manifest(manifestID)
		if err != nil {
			return err
		}
		if walkErr == nil {
			m.TotalFiles, m.TotalSize = &files, &size
			return e.move(tx, manifestObject{m}, StatusComplete, cause{})
		}
		failure := api.ErrorOf(walkErr)
		if failure.Code == api.CodeInternal {
			e.o.Log.Error("a manifest failed", "manifestId", manifestID, "error", walkErr)
		}
		m.ErrorMessage = &failure.Message
		if err := tx.ResetManifestFiles(manifestID); err != nil {
			return err
		}
		return e.move(tx, manifestObject{m}, StatusError, cause{})
	})
}

// purge removes one piece of the dead file lists; more tells that some is left.
// New manifests and other updates go in between.
func (e *Engine) purge(ctx context.Context) (more bool, err error) {
	err = e.o.Store.Update(ctx, func(tx Tx) (err error) {
		more, err = tx.PurgeManifestFiles(purgeBatch)
		return err
	})
	return more, err
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
