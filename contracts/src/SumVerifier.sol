// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";

import {Lanes} from "./Lanes.sol";
import {ISumVerifier} from "./interfaces/ISumVerifier.sol";

/// @title SumVerifier
/// @dev Every judgement has two parts. First the proof has to lead to the commit, hash by hash and place by place; until
/// then whatever is wrong is the challenger's, and the answer is false. From there on whatever is wrong is what the
/// coordinator committed, and the answer is true.
contract SumVerifier is ISumVerifier {
    struct Range {
        uint128 first;
        uint128 end;
        uint128 index;
        uint128 modulus;
    }

    /// @dev What the arithmetic part says; no chunks where its hash is not that of the terms, or words are not judged.
    struct Shape {
        uint256 chunks;
        Range[] ranges;
    }

    /// @dev The siblings of a proof, and how many were taken. One too many taken is zero, and `_finished` tells.
    struct Walk {
        bytes32[] steps;
        uint256 taken;
    }

    bytes32 private constant WORDS_SCHEME = "ckks/1";
    bytes32 private constant LEAF_DOMAIN = keccak256("veilsum/payout-leaf/2");
    bytes32 private constant SCORE_DOMAIN = keccak256("veilsum/score/1");
    bytes32 private constant RECEIPT =
        keccak256("Receipt(bytes32 programme,uint64 round,uint32 slotId,bytes32 contribution)");

    bytes1 private constant WORDS_BYTE = 0x00;
    bytes1 private constant JOIN_BYTE = 0x01;
    bytes1 private constant SUM_BYTE = 0x02;
    bytes1 private constant SLOT_BYTE = 0x04;

    uint256 private constant WORDS_BYTES = 2048;
    uint256 private constant POSITION_BYTES = 13;
    uint256 private constant JOIN_BYTES = 65;
    uint256 private constant SUM_BYTES = 97;
    uint256 private constant SLOT_BYTES = 37;
    uint256 private constant ENTRY_BYTES = 160;
    /// @dev Counts have 32 bits, so that no tree is higher.
    uint256 private constant HIGHEST = 32;

    /// @inheritdoc ISumVerifier
    function verdict(Context calldata context, Kind kind, bytes calldata proof) external view returns (bool guilty) {
        if (kind == Kind.BadSum) return _badSum(context, abi.decode(proof, (BadSum)));
        if (kind == Kind.BadLeaf) return _badLeaf(context, abi.decode(proof, (BadLeaf)));
        if (kind == Kind.BadTop) return _badTop(context, abi.decode(proof, (BadTop)));
        if (kind == Kind.Malformed) return _malformed(context, abi.decode(proof, (Malformed)));
        if (kind == Kind.Omitted) return _omitted(context, abi.decode(proof, (Omitted)));
        return _badPayout(context, abi.decode(proof, (BadPayout)));
    }

    /// @inheritdoc ISumVerifier
    function exists(Context calldata context, Node calldata node, bytes calldata arithmetic)
        external
        pure
        returns (bool)
    {
        return _exists(context, node, arithmetic);
    }

    /// @inheritdoc ISumVerifier
    function opens(Context calldata context, Node calldata node, bytes calldata opening) external view returns (bool) {
        Opening memory given = abi.decode(opening, (Opening));
        if (!_exists(context, node, given.arithmetic)) return false;

        Walk memory walk = Walk(given.steps, 0);
        bytes32 found = _next(walk);
        if (node.tree == Tree.Cohort) {
            return _isSlot(context, node.index, given.slotId, found, walk) && _finished(walk);
        }
        if (node.tree == Tree.SumTrees) {
            if (node.level != 0) found = _sumNode(found, _next(walk), _next(walk));
            found = _climbSums(found, node.level, node.index, context.commit.slots, walk);
        }
        Shape memory shape = _shapeOf(context, given.arithmetic);
        found = _climbPlace(context, shape, node.chunk, node.leaf, found, walk);
        return _isRoot(context, node.tree, node.index, given.slotId, found, walk) && _finished(walk);
    }

    // What a proof accuses of, kind by kind.

    function _badSum(Context calldata context, BadSum memory proof) private view returns (bool) {
        uint256 slots = context.commit.slots;
        Shape memory shape = _shapeOf(context, proof.arithmetic);
        if (!_isPlace(context, shape, proof.chunk, proof.leaf)) return false;
        if (!_isJoin(proof.level, proof.index, slots)) return false;
        if (proof.left.length != WORDS_BYTES || proof.right.length != WORDS_BYTES) return false;

        Walk memory walk = Walk(proof.steps, 0);
        bytes32 left = _own(proof.chunk, proof.leaf, proof.leftModulus, proof.left);
        bytes32 right = _own(proof.chunk, proof.leaf, proof.rightModulus, proof.right);
        uint256 child = 2 * uint256(proof.index);
        if (_covers(proof.level - 1, child, slots) > 1) left = _sumNode(_next(walk), _next(walk), left);
        if (_covers(proof.level - 1, child + 1, slots) > 1) right = _sumNode(_next(walk), _next(walk), right);
        bytes32 own = _next(walk);
        bytes32 node = _climbSums(_sumNode(left, right, own), proof.level, proof.index, slots, walk);
        node = _climbPlace(context, shape, proof.chunk, proof.leaf, node, walk);
        if (node != context.commit.sumTrees || !_finished(walk)) return false;

        if (proof.leftModulus != proof.rightModulus) return true;
        uint256 modulus = _modulusOf(shape, proof.chunk, proof.leftModulus);
        if (modulus == 0 || !Lanes.addTo(proof.left, proof.right, modulus)) return true;
        return _own(proof.chunk, proof.leaf, proof.leftModulus, proof.left) != own;
    }

    function _badLeaf(Context calldata context, BadLeaf memory proof) private view returns (bool) {
        uint256 slots = context.commit.slots;
        Shape memory shape = _shapeOf(context, proof.arithmetic);
        if (!_isPlace(context, shape, proof.chunk, proof.leaf) || proof.slot >= slots) return false;

        Walk memory walk = Walk(proof.steps, 0);
        bytes32 node = _climbSums(proof.inTree, 0, proof.slot, slots, walk);
        node = _climbPlace(context, shape, proof.chunk, proof.leaf, node, walk);
        if (node != context.commit.sumTrees) return false;
        bytes32 contribution = _climbPlace(context, shape, proof.chunk, proof.leaf, proof.inContribution, walk);
        if (!_isSlot(context, proof.slot, proof.slotId, contribution, walk) || !_finished(walk)) return false;

        return proof.inTree != proof.inContribution;
    }

    function _badTop(Context calldata context, BadTop memory proof) private view returns (bool) {
        Shape memory shape = _shapeOf(context, proof.arithmetic);
        if (!_isPlace(context, shape, proof.chunk, proof.leaf) || context.commit.slots == 0) return false;

        Walk memory walk = Walk(proof.steps, 0);
        // slither-disable-next-line uninitialized-local: both branches set it
        bytes32 own;
        bytes32 node;
        if (context.commit.slots == 1) {
            node = own = _next(walk);
        } else {
            bytes32 left = _next(walk);
            bytes32 right = _next(walk);
            own = _next(walk);
            node = _sumNode(left, right, own);
        }
        node = _climbPlace(context, shape, proof.chunk, proof.leaf, node, walk);
        if (node != context.commit.sumTrees) return false;
        node = _climbPlace(context, shape, proof.chunk, proof.leaf, proof.inSum, walk);
        if (node != context.commit.sum || !_finished(walk)) return false;

        return proof.inSum != own;
    }

    function _malformed(Context calldata context, Malformed memory proof) private view returns (bool) {
        Walk memory walk = Walk(proof.steps, 0);
        bytes32 node = sha256(proof.preimage);
        if (proof.layer == Layer.Slots) {
            if (proof.tree != Tree.Cohort) return false;
            if (!_isNode(proof.level, proof.index, context.commit.slots)) return false;
            node = _climb(node, proof.level, proof.index, context.commit.slots, walk);
            if (node != context.commit.cohort || !_finished(walk)) return false;
            if (proof.level == 0) return !_hasForm(proof.preimage, SLOT_BYTE, SLOT_BYTES);
            return !_hasForm(proof.preimage, JOIN_BYTE, JOIN_BYTES);
        }

        Shape memory shape = _shapeOf(context, proof.arithmetic);
        if (proof.tree == Tree.Cohort || !_isPlaceOf(context, shape, proof)) return false;
        node = _climbLayers(context, shape, proof, node, walk);
        if (!_isRoot(context, proof.tree, proof.slot, proof.slotId, node, walk) || !_finished(walk)) return false;

        if (proof.layer == Layer.Words) return !_areWords(shape, proof.chunk, proof.leaf, proof.preimage);
        if (proof.layer == Layer.Sums) return !_hasForm(proof.preimage, SUM_BYTE, SUM_BYTES);
        return !_hasForm(proof.preimage, JOIN_BYTE, JOIN_BYTES);
    }

    function _omitted(Context calldata context, Omitted memory proof) private view returns (bool) {
        uint256 count = proof.slots.length;
        uint256 last = context.commit.slots;
        if (count > 2 || (count == 0) != (last == 0)) return false;
        Walk memory walk = Walk(proof.steps, 0);
        for (uint256 i = 0; i < count; i++) {
            Slot memory slot = proof.slots[i];
            if (proof.slot + i >= last) return false;
            if (!_isSlot(context, proof.slot + i, slot.slotId, slot.contribution, walk)) return false;
        }
        if (!_finished(walk)) return false;

        if (count == 2 && proof.slots[0].slotId >= proof.slots[1].slotId) return true;
        if (!_isReceipt(context, proof)) return false;
        if (count == 0) return true;
        if (count == 2) return proof.slots[0].slotId < proof.slotId && proof.slotId < proof.slots[1].slotId;
        uint32 found = proof.slots[0].slotId;
        if (found == proof.slotId) return proof.slots[0].contribution != proof.contribution;
        return proof.slotId < found ? proof.slot == 0 : proof.slot == last - 1;
    }

    function _badPayout(Context calldata context, BadPayout memory proof) private pure returns (bool) {
        bytes32 leaf = _payoutLeaf(context, proof.payee, proof.payout);
        if (!MerkleProof.verify(proof.payout.steps, context.commit.payouts, leaf)) return false;
        if (proof.fault == Fault.Twin) {
            bytes32 twin = _payoutLeaf(context, proof.payee, proof.other);
            return twin != leaf && MerkleProof.verify(proof.other.steps, context.commit.payouts, twin);
        }
        if (keccak256(proof.entry) != proof.payout.entry) return false;
        (bool formed, uint256 earned) = _earned(context, proof.entry);
        if (proof.fault == Fault.Formula) {
            if (!formed || proof.payout.cumulative < earned) return true;
            return context.payoutsBefore == bytes32(0) && proof.payout.cumulative != earned;
        }
        if (!formed) return false;
        bytes32 earlier = _payoutLeaf(context, proof.payee, proof.other);
        if (!MerkleProof.verify(proof.other.steps, context.payoutsBefore, earlier)) return false;
        return proof.payout.cumulative < earned || proof.payout.cumulative - earned != proof.other.cumulative;
    }

    // What places there are.

    function _exists(Context calldata context, Node calldata node, bytes memory arithmetic)
        private
        pure
        returns (bool)
    {
        uint256 slots = context.commit.slots;
        if (node.tree != Tree.SumTrees && node.level != 0) return false;
        if (node.tree == Tree.PublishedSum ? node.index != 0 : !_isNode(node.level, node.index, slots)) return false;
        if (node.tree == Tree.Cohort) return (node.chunk | node.leaf) == 0;
        return _isPlace(context, _shapeOf(context, arithmetic), node.chunk, node.leaf);
    }

    function _shapeOf(Context calldata context, bytes memory arithmetic) private pure returns (Shape memory shape) {
        if (sha256(arithmetic) != context.arithmetic) return shape;
        (bytes32 scheme, uint64 dimension, uint64 valuesPerChunk,,, Range[] memory ranges) =
            abi.decode(arithmetic, (bytes32, uint64, uint64, uint8, uint8, Range[]));
        if (scheme != WORDS_SCHEME || dimension == 0) return shape;
        return Shape((uint256(dimension) + valuesPerChunk - 1) / valuesPerChunk, ranges);
    }

    function _leavesIn(Context calldata context, Shape memory shape, uint256 chunk) private pure returns (uint256) {
        return chunk + 1 == shape.chunks ? context.lastChunkLeaves : context.leavesPerChunk;
    }

    function _isPlace(Context calldata context, Shape memory shape, uint256 chunk, uint256 leaf)
        private
        pure
        returns (bool)
    {
        return chunk < shape.chunks && leaf < _leavesIn(context, shape, chunk);
    }

    /// @dev Zero where the chunk has no such modulus.
    function _modulusOf(Shape memory shape, uint256 chunk, uint256 index) private pure returns (uint256) {
        for (uint256 i = 0; i < shape.ranges.length; i++) {
            Range memory range = shape.ranges[i];
            if (range.first <= chunk && chunk < range.end && range.index == index) return range.modulus;
        }
        return 0;
    }

    /// @dev Nodes on a level of a tree over `count` leaves.
    function _width(uint256 count, uint256 level) private pure returns (uint256) {
        return (count + (1 << level) - 1) >> level;
    }

    /// @dev A leaf, or a node that has two children; not one that was carried up.
    function _isNode(uint256 level, uint256 index, uint256 count) private pure returns (bool) {
        return level == 0 ? index < count : _isJoin(level, index, count);
    }

    function _isJoin(uint256 level, uint256 index, uint256 count) private pure returns (bool) {
        return level != 0 && level <= HIGHEST && 2 * index + 1 < _width(count, level - 1);
    }

    /// @dev How many leaves lie under a node.
    function _covers(uint256 level, uint256 index, uint256 count) private pure returns (uint256) {
        uint256 end = (index + 1) << level;
        return (end < count ? end : count) - (index << level);
    }

    function _isPlaceOf(Context calldata context, Shape memory shape, Malformed memory proof)
        private
        pure
        returns (bool)
    {
        bool sums = proof.tree == Tree.SumTrees;
        if (proof.tree == Tree.Contribution && proof.slot >= context.commit.slots) return false;
        if (proof.layer == Layer.Chunks) return _isJoin(proof.level, proof.index, shape.chunks);
        if (proof.layer == Layer.Leaves) {
            if (proof.chunk >= shape.chunks) return false;
            return _isJoin(proof.level, proof.index, _leavesIn(context, shape, proof.chunk));
        }
        if (!_isPlace(context, shape, proof.chunk, proof.leaf)) return false;
        if (proof.layer == Layer.Sums) return sums && _isJoin(proof.level, proof.index, context.commit.slots);
        return sums ? _isNode(proof.level, proof.index, context.commit.slots) : (proof.level | proof.index) == 0;
    }

    // From a node to a root, hash by hash.

    /// @dev From a leaf of a chunk to the root over the chunks.
    function _climbPlace(
        Context calldata context,
        Shape memory shape,
        uint256 chunk,
        uint256 leaf,
        bytes32 node,
        Walk memory walk
    ) private view returns (bytes32) {
        node = _climb(node, 0, leaf, _leavesIn(context, shape, chunk), walk);
        return _climb(node, 0, chunk, shape.chunks, walk);
    }

    /// @dev From where a malformed node stands to the root over the chunks.
    function _climbLayers(
        Context calldata context,
        Shape memory shape,
        Malformed memory proof,
        bytes32 node,
        Walk memory walk
    ) private view returns (bytes32) {
        if (proof.layer == Layer.Chunks) return _climb(node, proof.level, proof.index, shape.chunks, walk);
        if (proof.layer == Layer.Leaves) {
            node = _climb(node, proof.level, proof.index, _leavesIn(context, shape, proof.chunk), walk);
            return _climb(node, 0, proof.chunk, shape.chunks, walk);
        }
        if (proof.tree == Tree.SumTrees) {
            if (proof.layer == Layer.Words && proof.level != 0) node = _sumNode(_next(walk), _next(walk), node);
            node = _climbSums(node, proof.level, proof.index, context.commit.slots, walk);
        }
        return _climbPlace(context, shape, proof.chunk, proof.leaf, node, walk);
    }

    /// @dev Of any tree but the cohort.
    function _isRoot(
        Context calldata context,
        Tree tree,
        uint256 slot,
        uint32 slotId,
        bytes32 node,
        Walk memory walk
    ) private view returns (bool) {
        if (tree == Tree.SumTrees) return node == context.commit.sumTrees;
        if (tree == Tree.PublishedSum) return node == context.commit.sum;
        return _isSlot(context, slot, slotId, node, walk);
    }

    function _isSlot(Context calldata context, uint256 slot, uint32 slotId, bytes32 contribution, Walk memory walk)
        private
        view
        returns (bool)
    {
        bytes32 node = sha256(abi.encodePacked(SLOT_BYTE, slotId, contribution));
        return _climb(node, 0, slot, context.commit.slots, walk) == context.commit.cohort;
    }

    /// @dev Neighbours are paired level by level, and an odd last node is carried up: the tree of RFC 6962, 2.1.
    function _climb(bytes32 node, uint256 level, uint256 index, uint256 count, Walk memory walk)
        private
        view
        returns (bytes32)
    {
        uint256 taken = walk.taken;
        for (uint256 width = _width(count, level); width > 1; width = (width + 1) >> 1) {
            bool right = index & 1 == 1;
            if (right || index + 1 < width) {
                bytes32 sibling = _step(walk.steps, taken);
                node = right ? _join(sibling, node) : _join(node, sibling);
                taken += 1;
            }
            index >>= 1;
        }
        walk.taken = taken;
        return node;
    }

    /// @dev The same in a sum tree, where each parent has words of its own.
    function _climbSums(bytes32 node, uint256 level, uint256 index, uint256 count, Walk memory walk)
        private
        view
        returns (bytes32)
    {
        uint256 taken = walk.taken;
        for (uint256 width = _width(count, level); width > 1; width = (width + 1) >> 1) {
            bool right = index & 1 == 1;
            if (right || index + 1 < width) {
                bytes32 sibling = _step(walk.steps, taken);
                bytes32 own = _step(walk.steps, taken + 1);
                node = right ? _sumNode(sibling, node, own) : _sumNode(node, sibling, own);
                taken += 2;
            }
            index >>= 1;
        }
        walk.taken = taken;
        return node;
    }

    function _next(Walk memory walk) private pure returns (bytes32 step) {
        step = _step(walk.steps, walk.taken);
        walk.taken += 1;
    }

    /// @dev Zero where there is none.
    function _step(bytes32[] memory steps, uint256 index) private pure returns (bytes32 step) {
        if (index < steps.length) {
            // slither-disable-next-line assembly: the bound is checked one line above
            assembly ("memory-safe") {
                step := mload(add(add(steps, 32), shl(5, index)))
            }
        }
    }

    function _finished(Walk memory walk) private pure returns (bool) {
        return walk.taken == walk.steps.length;
    }

    function _sumNode(bytes32 left, bytes32 right, bytes32 own) private view returns (bytes32 node) {
        // slither-disable-next-line assembly: SHA-256 called without a copy of its input
        assembly ("memory-safe") {
            // Beyond what is allocated, where nothing has to be kept.
            let body := mload(64)
            mstore8(body, 0x02)
            mstore(add(body, 1), left)
            mstore(add(body, 33), right)
            mstore(add(body, 65), own)
            if iszero(staticcall(gas(), 2, body, 97, 0, 32)) { revert(0, 0) }
            node := mload(0)
        }
    }

    function _join(bytes32 left, bytes32 right) private view returns (bytes32 node) {
        // slither-disable-next-line assembly: SHA-256 called without a copy of its input
        assembly ("memory-safe") {
            let body := mload(64)
            mstore8(body, 0x01)
            mstore(add(body, 1), left)
            mstore(add(body, 33), right)
            if iszero(staticcall(gas(), 2, body, 65, 0, 32)) { revert(0, 0) }
            node := mload(0)
        }
    }

    function _own(uint32 chunk, uint32 leaf, uint32 modulus, bytes memory words) private pure returns (bytes32) {
        return sha256(abi.encodePacked(WORDS_BYTE, chunk, leaf, modulus, words));
    }

    // What bytes have to look like.

    function _hasForm(bytes memory body, bytes1 first, uint256 length) private pure returns (bool) {
        return body.length == length && body[0] == first;
    }

    function _areWords(Shape memory shape, uint32 chunk, uint32 leaf, bytes memory body) private pure returns (bool) {
        if (body.length != POSITION_BYTES + WORDS_BYTES) return false;
        uint256 position = uint104(bytes13(_wordAt(body, 0)));
        uint256 index = uint32(position);
        // The first byte is zero, so that the rest is the position alone.
        if (position >> 32 != (uint256(chunk) << 32 | leaf)) return false;
        uint256 modulus = _modulusOf(shape, chunk, index);
        if (modulus == 0) return false;
        bytes memory words = new bytes(WORDS_BYTES);
        // slither-disable-next-line assembly: a copy out of the middle of bytes
        assembly ("memory-safe") {
            mcopy(add(words, 32), add(body, 45), 2048)
        }
        return Lanes.areBelow(words, modulus);
    }

    /// @dev 32 bytes of `body` from `offset` on, all of which it must have.
    function _wordAt(bytes memory body, uint256 offset) private pure returns (bytes32 word) {
        assert(offset + 32 <= body.length);
        // slither-disable-next-line assembly: 32 bytes out of bytes
        assembly ("memory-safe") {
            word := mload(add(add(body, 32), offset))
        }
    }

    /// @dev Whether the entry is by the form and the formula of its round, and what it says was earned.
    function _earned(Context calldata context, bytes memory entry) private pure returns (bool formed, uint256 earned) {
        if (entry.length != ENTRY_BYTES || _wordAt(entry, 0) != SCORE_DOMAIN) return (false, 0);
        if (uint256(_wordAt(entry, 32)) != context.commit.round) return (false, 0);
        uint256 score = uint256(_wordAt(entry, 64));
        uint256 scores = context.commit.scores;
        earned = uint256(_wordAt(entry, 96));
        if (score > scores || earned > type(uint128).max) return (false, earned);
        // Both factors are below 2^128.
        return (earned == (scores == 0 ? 0 : context.commit.budget * score / scores), earned);
    }

    function _payoutLeaf(Context calldata context, address payee, Payout memory payout) private pure returns (bytes32) {
        bytes memory leaf = abi.encode(
            LEAF_DOMAIN,
            context.chainId,
            context.settlement,
            context.commit.programme,
            payee,
            payout.cumulative,
            payout.salt,
            payout.entry
        );
        return keccak256(bytes.concat(keccak256(leaf)));
    }

    function _isReceipt(Context calldata context, Omitted memory proof) private pure returns (bool) {
        bytes32 receipt = keccak256(
            abi.encode(
                RECEIPT, context.commit.programme, context.commit.round, proof.slotId, proof.contribution
            )
        );
        bytes32 digest = MessageHashUtils.toTypedDataHash(context.domain, receipt);
        // slither-disable-next-line unused-return: the third value only says more about a failure
        (address signer, ECDSA.RecoverError failure,) = ECDSA.tryRecover(digest, proof.signature);
        return failure == ECDSA.RecoverError.NoError && signer == context.coordinator;
    }
}
