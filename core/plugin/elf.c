/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A look at a file before the dynamic loader maps it: the loader trusts offsets, and a damaged file
 * kills the process (dlerror is no defence). Here every table and segment is seen to lie inside the
 * file, so that text files, truncated files and libraries of other machines are told apart.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "plugin/plugin_internal.h"

#if UINTPTR_MAX > 0xffffffffu
typedef Elf64_Ehdr header;
typedef Elf64_Phdr segment;
typedef Elf64_Shdr section;
typedef Elf64_Dyn dynamic;
enum { OWN_CLASS = ELFCLASS64 };
#else
typedef Elf32_Ehdr header;
typedef Elf32_Phdr segment;
typedef Elf32_Shdr section;
typedef Elf32_Dyn dynamic;
enum { OWN_CLASS = ELFCLASS32 };
#endif

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
enum { OWN_ORDER = ELFDATA2LSB };
#else
enum { OWN_ORDER = ELFDATA2MSB };
#endif

#if defined(__x86_64__)
enum { OWN_MACHINE = EM_X86_64 };
#elif defined(__aarch64__)
enum { OWN_MACHINE = EM_AARCH64 };
#elif defined(__riscv)
enum { OWN_MACHINE = EM_RISCV };
#elif defined(__powerpc64__)
enum { OWN_MACHINE = EM_PPC64 };
#else
enum { OWN_MACHINE = EM_NONE }; /* not checked */
#endif

enum { MOST_SEGMENTS = 64 };

typedef struct file {
  int fd;
  uint64_t size;
  header head;
  segment seg[MOST_SEGMENTS];
} file;

static bool inside(uint64_t offset, uint64_t length, uint64_t size) {
  return offset <= size && length <= size - offset;
}

static bool read_at(const file *f, uint64_t offset, void *to, size_t n) {
  if (!inside(offset, n, f->size)) return false;
  for (size_t done = 0; done < n;) {
    ssize_t got = pread(f->fd, (char *)to + done, n - done, (off_t)(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    done += (size_t)got;
  }
  return true;
}

/* Each returns what is wrong, or NULL. */

static const char *fault_of_header(file *f) {
  header *h = &f->head;
  if (!read_at(f, 0, h, sizeof *h) || memcmp(h->e_ident, ELFMAG, SELFMAG) != 0)
    return "is no shared object (no ELF header)";
  if (h->e_ident[EI_CLASS] != OWN_CLASS || h->e_ident[EI_DATA] != OWN_ORDER ||
      (OWN_MACHINE != EM_NONE && h->e_machine != OWN_MACHINE))
    return "was built for another machine";
  if (h->e_type != ET_DYN) return "is an ELF file, but no shared object";
  if (h->e_ident[EI_VERSION] != EV_CURRENT || h->e_phentsize != sizeof(segment) || h->e_phnum < 1 ||
      h->e_phnum > MOST_SEGMENTS)
    return "has a damaged ELF header";
  if (!read_at(f, h->e_phoff, f->seg, h->e_phnum * sizeof(segment)))
    return "is damaged or truncated: its program headers lie outside the file";
  return NULL;
}

static const char *fault_of_sections(const file *f) {
  const header *h = &f->head;
  if (h->e_shoff == 0 || h->e_shnum == 0) return NULL; /* stripped of them: the loader needs none */
  for (unsigned i = 0; i < h->e_shnum; i++) {
    section s;
    if (h->e_shentsize != sizeof s || !read_at(f, h->e_shoff + i * sizeof s, &s, sizeof s))
      return "is damaged or truncated: its section headers lie outside the file";
    if (s.sh_type != SHT_NOBITS && s.sh_type != SHT_NULL && !inside(s.sh_offset, s.sh_size, f->size))
      return "is damaged or truncated: a section lies outside the file";
  }
  return NULL;
}

static const char *fault_of_segments(const file *f) {
  uint64_t end = 0;
  unsigned loads = 0;
  for (unsigned i = 0; i < f->head.e_phnum; i++) {
    const segment *s = &f->seg[i];
    if (!inside(s->p_offset, s->p_filesz, f->size))
      return "is damaged or truncated: a segment lies outside the file";
    if (s->p_type != PT_LOAD) continue;
    bool aligned = s->p_align && (s->p_align & (s->p_align - 1)) == 0 &&
                   (s->p_vaddr - s->p_offset) % s->p_align == 0;
    if (!aligned || s->p_memsz < s->p_filesz || s->p_vaddr < end ||
        s->p_memsz > UINT64_MAX / 4 - s->p_vaddr)
      return "is damaged: its segments overlap or are misplaced";
    end = s->p_vaddr + s->p_memsz;
    loads++;
  }
  return loads ? NULL : "has nothing to load";
}

/* Whether an address lies in bytes that come from the file. */
static bool loaded(const file *f, uint64_t address) {
  for (unsigned i = 0; i < f->head.e_phnum; i++) {
    const segment *s = &f->seg[i];
    if (s->p_type == PT_LOAD && address >= s->p_vaddr && address - s->p_vaddr < s->p_filesz)
      return true;
  }
  return false;
}

static bool is_table(int64_t tag) {
  return tag == DT_STRTAB || tag == DT_SYMTAB || tag == DT_HASH || tag == DT_GNU_HASH ||
         tag == DT_RELA || tag == DT_REL || tag == DT_JMPREL || tag == DT_INIT_ARRAY ||
         tag == DT_FINI_ARRAY || tag == DT_INIT || tag == DT_FINI || tag == DT_VERSYM ||
         tag == DT_VERNEED;
}

static const char *fault_of_dynamic(const file *f) {
  const segment *s = NULL;
  for (unsigned i = 0; i < f->head.e_phnum; i++)
    if (f->seg[i].p_type == PT_DYNAMIC) s = &f->seg[i];
  if (!s || !loaded(f, s->p_vaddr)) return "has no dynamic segment";
  bool strings = false, symbols = false;
  for (uint64_t at = 0; at + sizeof(dynamic) <= s->p_filesz; at += sizeof(dynamic)) {
    dynamic d;
    if (!read_at(f, s->p_offset + at, &d, sizeof d)) break;
    if (d.d_tag == DT_NULL)
      return strings && symbols ? NULL : "is damaged: its dynamic segment lacks a table";
    if (is_table(d.d_tag) && !loaded(f, d.d_un.d_ptr))
      return "is damaged: a table of its dynamic segment lies outside the file";
    strings = strings || d.d_tag == DT_STRTAB;
    symbols = symbols || d.d_tag == DT_SYMTAB;
  }
  return "is damaged: its dynamic segment has no end";
}

static const char *fault_of(file *f) {
  const char *fault = fault_of_header(f);
  if (!fault) fault = fault_of_segments(f);
  if (!fault) fault = fault_of_sections(f);
  return fault ? fault : fault_of_dynamic(f);
}

cst_status cst_elf_check(cst_context *ctx, const char *path) {
  struct stat info;
  file f = {.fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (f.fd < 0) return cst_fail(ctx, CST_EIO, "%s: %s", path, strerror(errno));
  const char *fault = "is not a regular file";
  if (fstat(f.fd, &info) == 0 && S_ISREG(info.st_mode)) {
    f.size = (uint64_t)info.st_size;
    fault = fault_of(&f);
  }
  close(f.fd);
  return fault ? cst_fail(ctx, CST_EPLUGIN, "%s %s", path, fault) : CST_OK;
}
