// Package prove attacks a running antiphon with numbers: many connections, slow
// clients, large bodies and replies, and measures what it takes. Tests run a short form;
// with ANTIPHON_PROVE=1 ("make prove") the numbers are those that docs/OPERATIONS.md
// promises for. Every test measures the resident memory of the process.
package prove
