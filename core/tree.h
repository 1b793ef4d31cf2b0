/* SPDX-License-Identifier: MIT */
/*
 * Folders: names that stay inside one, folders of our own, and their removal. Nothing here follows a symbolic link
 * below the folder it was given.
 */
#ifndef CPL_TREE_H
#define CPL_TREE_H

#include "base.h"

#define CPL_TREE_DEPTH_MAX 128
#define CPL_TREE_NAME_MAX 255
#define CPL_TREE_PATH_MAX 4095

/*
 * Why a name taken from an archive must not be used inside a folder ("leaves the directory"), or NULL when it may:
 * relative, '/' between the parts, no part empty, "." or "..", no backslash, drive or control byte, within the sizes
 * above. One '/' at the end is fine.
 */
const char *cpl_tree_name_fault(cpl_str name);
/* The same for the target of a symbolic link called name: it may climb first and then descend, and stays inside. */
const char *cpl_tree_link_fault(cpl_str name, cpl_str target);
/* A name as it may stand in a message: control bytes and what is not UTF-8 become \xNN. */
void cpl_tree_show(cpl_str name, char *out, size_t size);

/* A path a caller gave, as a C string for cpl_free. CPL_INVALID when it is empty or has a NUL. */
cpl_status cpl_tree_path(cpl_str path, char **out, cpl_error *err);
/* Makes parent/prefixXXXXXX, mode 0700; *out is for cpl_free. */
cpl_status cpl_tree_temp(cpl_str parent, const char *prefix, char **out, cpl_error *err);
/*
 * Removes a file, a link or a whole folder; at: a folder's descriptor or AT_FDCWD. True when it is gone (also before).
 */
bool cpl_tree_remove(int at, const char *path);

#endif
