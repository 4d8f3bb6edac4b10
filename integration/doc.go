// Package integration tests the project with software that nobody here wrote. It
// is a module of its own, so that what it needs stays out of users' module graphs.
package integration
