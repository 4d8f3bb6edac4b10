package provider

import "time"

// minWatchEvery keeps the replicas of a service from using up what a vault answers in
// 10 seconds, 4,000 requests: a listing of 250 secrets takes 11.
const minWatchEvery = 10 * time.Second
