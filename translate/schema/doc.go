// Package schema checks JSON values against JSON Schemas, for answers of
// backends that cannot be held to one.
//
// It is sound rather than complete: what it refuses is invalid in draft 2020-12
// and the drafts before it, but keywords that it does not know accept everything.
// It knows type, enum, const, the bounds of numbers, strings, arrays and objects,
// pattern, properties, patternProperties, additionalProperties, propertyNames,
// required, dependentRequired, items, prefixItems, contains, uniqueItems, anyOf,
// oneOf, allOf, not, if, then, else and $ref within the schema. It takes format,
// content… and unevaluated… for comments. Nothing is ever loaded from elsewhere.
package schema
