/*
 * The part of PKCS#11 v2.40 (OASIS Standard, "Cryptographic Token Interface Base Specification") that a module needs which looks into nothing but
 * slot lists, search results and CKA_TOKEN: written from the text of the specification. Structures that are only passed on stay opaque.
 */
#ifndef CRYPTOKI_H
#define CRYPTOKI_H

typedef unsigned char CK_BYTE;
typedef unsigned long CK_ULONG;
typedef CK_ULONG CK_RV, CK_FLAGS, CK_SLOT_ID, CK_SESSION_HANDLE, CK_OBJECT_HANDLE, CK_MECHANISM_TYPE, CK_USER_TYPE, CK_ATTRIBUTE_TYPE;
typedef struct CK_INFO CK_INFO;
typedef struct CK_SLOT_INFO CK_SLOT_INFO;
typedef struct CK_TOKEN_INFO CK_TOKEN_INFO;
typedef struct CK_SESSION_INFO CK_SESSION_INFO;
typedef struct CK_MECHANISM CK_MECHANISM;
typedef struct CK_MECHANISM_INFO CK_MECHANISM_INFO;
typedef CK_RV (*CK_NOTIFY)(CK_SESSION_HANDLE session, CK_ULONG event, void *application);

/* §3.1 */
typedef struct CK_VERSION {
  CK_BYTE major, minor;
} CK_VERSION;

/* §3.4 */
typedef struct CK_ATTRIBUTE {
  CK_ATTRIBUTE_TYPE type;
  void *value;
  CK_ULONG length;
} CK_ATTRIBUTE;

enum { CKA_TOKEN = 0x1 };
enum { CKR_OK = 0x0, CKR_GENERAL_ERROR = 0x5, CKR_ARGUMENTS_BAD = 0x7, CKR_DEVICE_REMOVED = 0x32, CKR_TOKEN_NOT_PRESENT = 0xe0 };

/*
 * Every function of CK_FUNCTION_LIST, in its order: X(kind, name, parameters, arguments, stores).
 *   kind    what it says of a token that was removed, see `enum kind` in fault-token.c
 *   stores  whether this call makes an object in the token's storage
 */
#define CRYPTOKI_FUNCTIONS(X) \
  X(OF_LIBRARY, C_Initialize, (void *arguments), (arguments), 0) \
  X(OF_LIBRARY, C_Finalize, (void *reserved), (reserved), 0) \
  X(OF_LIBRARY, C_GetInfo, (CK_INFO *info), (info), 0) \
  X(OF_LIBRARY, C_GetFunctionList, (CK_FUNCTION_LIST **list), (list), 0) \
  X(OF_LIBRARY, C_GetSlotList, (CK_BYTE present, CK_SLOT_ID *slots, CK_ULONG *count), (present, slots, count), 0) \
  X(OF_LIBRARY, C_GetSlotInfo, (CK_SLOT_ID slot, CK_SLOT_INFO *info), (slot, info), 0) \
  X(OF_TOKEN, C_GetTokenInfo, (CK_SLOT_ID slot, CK_TOKEN_INFO *info), (slot, info), 0) \
  X(OF_TOKEN, C_GetMechanismList, (CK_SLOT_ID slot, CK_MECHANISM_TYPE *types, CK_ULONG *count), (slot, types, count), 0) \
  X(OF_TOKEN, C_GetMechanismInfo, (CK_SLOT_ID slot, CK_MECHANISM_TYPE type, CK_MECHANISM_INFO *info), (slot, type, info), 0) \
  X(OF_TOKEN, C_InitToken, (CK_SLOT_ID slot, CK_BYTE *pin, CK_ULONG length, CK_BYTE *label), (slot, pin, length, label), 1) \
  X(OF_SESSION, C_InitPIN, (CK_SESSION_HANDLE session, CK_BYTE *pin, CK_ULONG length), (session, pin, length), 1) \
  X(OF_SESSION, C_SetPIN, (CK_SESSION_HANDLE session, CK_BYTE *old, CK_ULONG oldLength, CK_BYTE *new, CK_ULONG newLength), \
    (session, old, oldLength, new, newLength), 1) \
  X(OF_TOKEN, C_OpenSession, (CK_SLOT_ID slot, CK_FLAGS flags, void *application, CK_NOTIFY notify, CK_SESSION_HANDLE *session), \
    (slot, flags, application, notify, session), 0) \
  X(OF_SESSION, C_CloseSession, (CK_SESSION_HANDLE session), (session), 0) \
  X(OF_TOKEN, C_CloseAllSessions, (CK_SLOT_ID slot), (slot), 0) \
  X(OF_SESSION, C_GetSessionInfo, (CK_SESSION_HANDLE session, CK_SESSION_INFO *info), (session, info), 0) \
  X(OF_SESSION, C_GetOperationState, (CK_SESSION_HANDLE session, CK_BYTE *state, CK_ULONG *length), (session, state, length), 0) \
  X(OF_SESSION, C_SetOperationState, \
    (CK_SESSION_HANDLE session, CK_BYTE *state, CK_ULONG length, CK_OBJECT_HANDLE cipher, CK_OBJECT_HANDLE authentication), \
    (session, state, length, cipher, authentication), 0) \
  X(OF_SESSION, C_Login, (CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_BYTE *pin, CK_ULONG length), (session, user, pin, length), 0) \
  X(OF_SESSION, C_Logout, (CK_SESSION_HANDLE session), (session), 0) \
  X(OF_SESSION, C_CreateObject, (CK_SESSION_HANDLE session, CK_ATTRIBUTE *template, CK_ULONG count, CK_OBJECT_HANDLE *object), \
    (session, template, count, object), asks_for_storage(template, count)) \
  X(OF_SESSION, C_CopyObject, \
    (CK_SESSION_HANDLE session, CK_OBJECT_HANDLE from, CK_ATTRIBUTE *template, CK_ULONG count, CK_OBJECT_HANDLE *object), \
    (session, from, template, count, object), asks_for_storage(template, count)) \
  X(OF_SESSION, C_DestroyObject, (CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object), (session, object), 0) \
  X(OF_SESSION, C_GetObjectSize, (CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ULONG *size), (session, object, size), 0) \
  X(OF_SESSION, C_GetAttributeValue, (CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE *template, CK_ULONG count), \
    (session, object, template, count), 0) \
  X(OF_SESSION, C_SetAttributeValue, (CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE *template, CK_ULONG count), \
    (session, object, template, count), 0) \
  X(OF_SESSION, C_FindObjectsInit, (CK_SESSION_HANDLE session, CK_ATTRIBUTE *template, CK_ULONG count), (session, template, count), 0) \
  X(OF_SESSION, C_FindObjects, (CK_SESSION_HANDLE session, CK_OBJECT_HANDLE *objects, CK_ULONG maximum, CK_ULONG *count), \
    (session, objects, maximum, count), 0) \
  X(ENDS_OPERATION, C_FindObjectsFinal, (CK_SESSION_HANDLE session), (session), 0) \
  X(OF_SESSION, C_EncryptInit, (CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key), (session, mechanism, key), 0) \
  X(ENDS_OPERATION, C_Encrypt, (CK_SESSION_HANDLE session, CK_BYTE *in, CK_ULONG inLength, CK_BYTE *out, CK_ULONG *outLength), \
    (session, in, inLength, out, outLength), 0) \
  X(OF_SESSION, C_EncryptUpdate, (CK_SESSION_HANDLE session, CK_BYTE *in, CK_ULONG inLength, CK_BYTE *out, CK_ULONG *outLength), \
    (session, in, inLength, out, outLength), 0) \
  X(ENDS_OPERATION, C_EncryptFinal, (CK_SESSION_HANDLE session, CK_BYTE *out, CK_ULONG *outLength), (session, out, outLength), 0) \
  X(OF_SESSION, C_DecryptInit, (CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key), (session, mechanism, key), 0) \
  X(ENDS_OPERATION, C_Decrypt, (CK_SESSION_HANDLE session, CK_BYTE *in, CK_ULONG inLength, CK_BYTE *out, CK_ULONG *outLength), \
    (session, in, inLength, out, outLength), 0) \
  X(OF_SESSION, C_DecryptUpdate, (CK_SESSION_HANDLE session, CK_BYTE *in, CK_ULONG inLength, CK_BYTE *out, CK_ULONG *outLength), \
    (session, in, inLength, out, outLength), 0) \
  X(ENDS_OPERATION, C_DecryptFinal, (CK_SESSION_HANDLE session, CK_BYTE *out, CK_ULONG *outLength), (session, out, outLength), 0) \
  X(OF_SESSION, C_DigestInit, (CK_SESSION_HANDLE session, CK_MECHANISM *mechanism), (session, mechanism), 0) \
  X(ENDS_OPERATION, C_Digest, (CK_SESSION_HANDLE session, CK_BYTE *in, CK_ULONG inLength, CK_BYTE *out, CK_ULONG *outLength), \
    (session, in, inLength, out, outLength), 0) \
  X(OF_SESSION, C_DigestUpdate, (CK_SESSION_HANDLE session, CK_BYTE *in, CK_ULONG inLength), (session, in, inLength), 0) \
  X(OF_SESSION, C_DigestKey, (CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key), (session, key), 0) \
  X(ENDS_OPERATION, C_DigestFinal, (CK_SESSION_HANDLE session, CK_BYTE *out, CK_ULONG *outLength), (session, out, outLength), 0) \
  X(OF_SESSION, C_SignInit, (CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key), (session, mechanism, key), 0) \
  X(ENDS_OPERATION, C_Sign, (CK_SESSION_HANDLE session, CK_BYTE *in, CK_ULONG inLength, CK_BYTE *out, CK_ULONG *outLength), \
    (session, in, inLength, out, outLength), 0) \
  X(OF_SESSION, C_SignUpdate, (CK_SESSION_HANDLE session, CK_BYTE *in, CK_ULONG inLength), (session, in, inLength), 0) \
  X(ENDS_OPERATION, C_SignFinal, (CK_SESSION_HANDLE session, CK_BYTE *out, CK_ULONG *outLength), (session, out, outLength), 0) \
  X(OF_SESSION, C_SignRecoverInit, (CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key), (session, mechanism, key), 0) \
  X(ENDS_OPERATION, C_SignRecover, (CK_SESSION_HANDLE session, CK_BYTE *in, CK_ULONG inLength, CK_BYTE *out, CK_ULONG *outLength), \
    (session, in, inLength, out, outLength), 0) \
  X(OF_SESSION, C_VerifyInit, (CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key), (session, mechanism, key), 0) \
  X(ENDS_OPERATION, C_Verify, (CK_SESSION_HANDLE session, CK_BYTE *in, CK_ULONG inLength, CK_BYTE *signature, CK_ULONG length), \
    (session, in, inLength, signature, length), 0) \
  X(OF_SESSION, C_VerifyUpdate, (CK_SESSION_HANDLE session, CK_BYTE *in, CK_ULONG inLength), (session, in, inLength), 0) \
  X(ENDS_OPERATION, C_VerifyFinal, (CK_SESSION_HANDLE session, CK_BYTE *signature, CK_ULONG length), (session, signature, length), 0) \
  X(OF_SESSION, C_VerifyRecoverInit, (CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key), (session, mechanism, key), 0) \
  X(ENDS_OPERATION, C_VerifyRecover, (CK_SESSION_HANDLE session, CK_BYTE *signature, CK_ULONG length, CK_BYTE *out, CK_ULONG *outLength), \
    (session, signature, length, out, outLength), 0) \
  X(OF_SESSION, C_DigestEncryptUpdate, (CK_SESSION_HANDLE session, CK_BYTE *in, CK_ULONG inLength, CK_BYTE *out, CK_ULONG *outLength), \
    (session, in, inLength, out, outLength), 0) \
  X(OF_SESSION, C_DecryptDigestUpdate, (CK_SESSION_HANDLE session, CK_BYTE *in, CK_ULONG inLength, CK_BYTE *out, CK_ULONG *outLength), \
    (session, in, inLength, out, outLength), 0) \
  X(OF_SESSION, C_SignEncryptUpdate, (CK_SESSION_HANDLE session, CK_BYTE *in, CK_ULONG inLength, CK_BYTE *out, CK_ULONG *outLength), \
    (session, in, inLength, out, outLength), 0) \
  X(OF_SESSION, C_DecryptVerifyUpdate, (CK_SESSION_HANDLE session, CK_BYTE *in, CK_ULONG inLength, CK_BYTE *out, CK_ULONG *outLength), \
    (session, in, inLength, out, outLength), 0) \
  X(OF_SESSION, C_GenerateKey, \
    (CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_ATTRIBUTE *template, CK_ULONG count, CK_OBJECT_HANDLE *key), \
    (session, mechanism, template, count, key), asks_for_storage(template, count)) \
  X(OF_SESSION, C_GenerateKeyPair, \
    (CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_ATTRIBUTE *publicTemplate, CK_ULONG publicCount, CK_ATTRIBUTE *privateTemplate, \
     CK_ULONG privateCount, CK_OBJECT_HANDLE *publicKey, CK_OBJECT_HANDLE *privateKey), \
    (session, mechanism, publicTemplate, publicCount, privateTemplate, privateCount, publicKey, privateKey), \
    asks_for_storage(publicTemplate, publicCount) || asks_for_storage(privateTemplate, privateCount)) \
  X(OF_SESSION, C_WrapKey, \
    (CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE wrapping, CK_OBJECT_HANDLE key, CK_BYTE *out, CK_ULONG *outLength), \
    (session, mechanism, wrapping, key, out, outLength), 0) \
  X(OF_SESSION, C_UnwrapKey, \
    (CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE wrapping, CK_BYTE *in, CK_ULONG inLength, CK_ATTRIBUTE *template, \
     CK_ULONG count, CK_OBJECT_HANDLE *key), \
    (session, mechanism, wrapping, in, inLength, template, count, key), asks_for_storage(template, count)) \
  X(OF_SESSION, C_DeriveKey, \
    (CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE base, CK_ATTRIBUTE *template, CK_ULONG count, CK_OBJECT_HANDLE *key), \
    (session, mechanism, base, template, count, key), asks_for_storage(template, count)) \
  X(OF_SESSION, C_SeedRandom, (CK_SESSION_HANDLE session, CK_BYTE *seed, CK_ULONG length), (session, seed, length), 0) \
  X(OF_SESSION, C_GenerateRandom, (CK_SESSION_HANDLE session, CK_BYTE *random, CK_ULONG length), (session, random, length), 0) \
  X(OF_SESSION, C_GetFunctionStatus, (CK_SESSION_HANDLE session), (session), 0) \
  X(OF_SESSION, C_CancelFunction, (CK_SESSION_HANDLE session), (session), 0) \
  X(OF_LIBRARY, C_WaitForSlotEvent, (CK_FLAGS flags, CK_SLOT_ID *slot, void *reserved), (flags, slot, reserved), 0)

typedef struct CK_FUNCTION_LIST CK_FUNCTION_LIST;

/* §3.6 */
struct CK_FUNCTION_LIST {
  CK_VERSION version;
#define AS_MEMBER(kind, name, parameters, arguments, stores) CK_RV(*name) parameters;
  CRYPTOKI_FUNCTIONS(AS_MEMBER)
#undef AS_MEMBER
};

#endif
