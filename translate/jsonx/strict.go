package jsonx

// AppendStrict appends src with the flaws mended that lenient readers of JSON take:
// NaN, Infinity, undefined and Python's None become null, True and False are written
// small, commas before a closing bracket are left out, and in strings raw control
// characters and needless backslashes are escaped. What comes out may still not be JSON.
func AppendStrict(dst, src []byte) []byte {
	for i := 0; i < len(src); {
		c := src[i]
		switch {
		case c == '"':
			i++
			dst = append(dst, '"')
			i, dst = strictString(dst, src, i)
		case c == ',':
			j := i + 1
			for j < len(src) && (src[j] == ' ' || src[j] == '\t' || src[j] == '\n' || src[j] == '\r') {
				j++
			}
			if j < len(src) && src[j] != '}' && src[j] != ']' {
				dst = append(dst, c)
			}
			i++
		case isWordByte(c) || (c == '-' || c == '+') && i+1 < len(src) && isWordByte(src[i+1]):
			j := i + 1
			for j < len(src) && (isWordByte(src[j]) || src[j] >= '0' && src[j] <= '9') {
				j++
			}
			switch word := string(src[i:j]); word {
			case "NaN", "-NaN", "nan", "Infinity", "-Infinity", "+Infinity", "inf", "-inf", "Inf", "-Inf", "undefined", "None", "NULL", "Null":
				dst = append(dst, "null"...)
			case "True":
				dst = append(dst, "true"...)
			case "False":
				dst = append(dst, "false"...)
			default:
				dst = append(dst, word...)
			}
			i = j
		default:
			dst = append(dst, c)
			i++
		}
	}
	return dst
}

func isWordByte(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

// strictString appends the rest of a string that begins at src[i], with its quote.
func strictString(dst, src []byte, i int) (int, []byte) {
	for i < len(src) {
		c := src[i]
		i++
		switch {
		case c == '"':
			return i, append(dst, c)
		case c == '\\' && i < len(src):
			switch e := src[i]; e {
			case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
				dst = append(dst, c, e)
				i++
			case 'u':
				if _, ok := hex4(src, i+1); ok {
					dst = append(dst, c, e)
				} else {
					dst = append(dst, c, c, e)
				}
				i++
			case '\'':
				dst = append(dst, e)
				i++
			default:
				dst = append(dst, c, c)
			}
		case c < ' ':
			dst = AppendEscaped(dst, string(rune(c)))
		default:
			dst = append(dst, c)
		}
	}
	return i, dst
}
