// ollama's Go module comes without its vendor directories, and so without this header. The tests' models read no
// images: what is left of it is what the compiler wants to see.
#pragma once

static unsigned char * stbi_load_from_memory(const unsigned char *, int, int *, int *, int *, int) { return nullptr; }
static void stbi_image_free(void *) {}
