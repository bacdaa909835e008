package upkeep

import "context"

// Expire removes what cannot be alive any more.
func (u *Upkeep) Expire(ctx context.Context) error { return u.expire(ctx) }
